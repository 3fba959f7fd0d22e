//! Times as the format keeps them: whole seconds, UTC.

use std::fmt;

/// A point in time, whole seconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Seconds since 1970.
    pub fn as_secs(self) -> i64 {
        self.0
    }

    /// This time moved by `seconds`.
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// As in file names: `20261120T215423Z`.
    pub fn to_name(self) -> String {
        self.format("%Y%m%dT%H%M%SZ")
    }

    /// As people and JSON read it: `2026-11-20T21:54:23Z`.
    pub fn to_rfc3339(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%SZ")
    }

    /// As C's `asctime` shows it in the local zone: `Fri Nov 20 21:54:23 2026`.
    pub fn to_asctime(self) -> String {
        let zone = jiff::tz::TimeZone::system();
        match jiff::Timestamp::from_second(self.0) {
            Ok(t) => t
                .to_zoned(zone)
                .strftime("%a %b %e %H:%M:%S %Y")
                .to_string(),
            Err(_) => format!("{} s", self.0),
        }
    }

    fn format(self, pattern: &str) -> String {
        match jiff::Timestamp::from_second(self.0) {
            Ok(t) => t.strftime(pattern).to_string(),
            // Outside the years -9999 to 9999: no calendar form exists.
            Err(_) => format!("{} s", self.0),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let t = Timestamp(1_795_211_663);
        assert_eq!(t.to_name(), "20261120T215423Z");
        assert_eq!(t.to_string(), "2026-11-20T21:54:23Z");
        assert_eq!(Timestamp(i64::MAX).to_name(), format!("{} s", i64::MAX));
    }
}
