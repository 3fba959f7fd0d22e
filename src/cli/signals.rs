//! Signals that ask for an end: the first lets the volume in hand reach the target, the second ends the run at once.

use crate::engine::context::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A request to stop that each of these signals raises. If they cannot be caught, they end the program as ever, which
/// a backup survives too.
pub fn watch() -> Cancel {
    let cancel = Cancel::new();
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        let cancel = cancel.clone();
        // Ends with the program.
        std::thread::spawn(move || signals.forever().for_each(|_| cancel.request()));
    }
    cancel
}
