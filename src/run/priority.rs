//! `[run] nice` and `io-class`: the priority of the thread that does a run, which the threads and programs it starts
//! take over, hooks among them.
//!
//! Niceness is set by the kernel's own call; the class of input and output by util-linux' `ionice`, as no safe
//! binding of `ioprio_set` is at hand. Neither keeps a run from being done: what cannot be set is told.

use crate::engine::monitor::{Level, Monitor};
use crate::profile::{IoClass, RunSettings};
use rustix::process::{getpriority_process, setpriority_process};
use std::process::{Command, Stdio};

/// The priority of one run; dropped, the thread has its former one again as far as the system lets it.
#[must_use]
pub struct Priority {
    /// Niceness before, if it was changed.
    nice_before: Option<i32>,
    io_class_changed: bool,
}

impl Priority {
    /// Gives the current thread the priority a profile asks for.
    pub fn set(run: &RunSettings, monitor: &dyn Monitor) -> Self {
        let mut set = Self {
            nice_before: None,
            io_class_changed: false,
        };
        if run.nice != 0 {
            let before = getpriority_process(None);
            match setpriority_process(None, run.nice) {
                Ok(()) => set.nice_before = before.ok(),
                Err(e) => {
                    let text = format!("nice = {} has no effect: {e}", run.nice);
                    monitor.note(Level::Warning, &text);
                }
            }
        }
        if run.io_class != IoClass::None {
            match io_class(run.io_class) {
                Ok(()) => set.io_class_changed = true,
                Err(e) => {
                    monitor.note(Level::Warning, &format!("io-class has no effect: {e}"));
                }
            }
        }
        set
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        // Only root may raise niceness again; the next run sets its own or goes on politely.
        if let Some(nice) = self.nice_before {
            let _ = setpriority_process(None, nice);
        }
        if self.io_class_changed {
            let _ = io_class(IoClass::None);
        }
    }
}

/// Sets the class of the current thread.
fn io_class(class: IoClass) -> Result<(), String> {
    // `PID/task/TID`: priorities belong to threads.
    let own = std::fs::read_link("/proc/thread-self")
        .map_err(|e| format!("cannot read /proc/thread-self: {e}"))?;
    let thread = own.file_name().unwrap_or_default();
    let arguments: &[&str] = match class {
        IoClass::None => &["-c", "0"],
        IoClass::BestEffort => &["-c", "2", "-n", "7"],
        IoClass::Idle => &["-c", "3"],
    };
    let output = Command::new("ionice")
        .args(arguments)
        .arg("-p")
        .arg(thread)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot start ionice of util-linux: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("ionice failed").to_owned())
}
