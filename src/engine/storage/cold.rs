//! Objects that lie in an archive, and orders to fetch them from there.

/// How an object lies at a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// It can be read.
    AtHand,
    /// It is being fetched from an archive.
    Ordered,
    /// It lies in an archive, and nobody has ordered it.
    Archived,
}

/// How an archived object is to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThawOrder {
    /// How many days it stays at hand.
    pub days: u16,
    /// How fast; the faster the dearer.
    pub speed: Speed,
}

/// How fast an archive fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// Within hours, the cheapest way.
    Bulk,
    /// As the service does it by itself.
    Standard,
    /// Within minutes; not from the deepest archives.
    Expedited,
}
