//! duplicity's words: statistics, collection status, listings, differences. Parsers written for them keep working.

pub mod leftovers;
mod printer;
pub mod progress;
pub mod statistics;
pub mod status;

pub use printer::Printer;

use serde::Serialize;

/// JSON as Python's `json.dumps(…, indent=4)` lays it out, but with every character as it is.
pub fn pretty(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, layout);
    // Numbers and texts of our own: nothing that JSON could not hold.
    if value.serialize(&mut serializer).is_err() {
        return "{}".into();
    }
    String::from_utf8_lossy(&out).into_owned()
}
