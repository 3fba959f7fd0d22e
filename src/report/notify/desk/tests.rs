//! What is told late and what is not, with the system's log as a recipient that can be taken away.

use super::super::super::tests::night;
use super::*;
use crate::engine::secret::Secret;
use crate::profile::{Moment, Syslog};
use crate::run::outcome::Verdict;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

fn reports(socket: &Path, when: &[Moment]) -> Reports {
    Reports {
        syslog: Some(Syslog {
            socket: socket.to_owned(),
            when: when.to_vec(),
        }),
        ..Reports::default()
    }
}

fn tell(reports: &Reports, store: &Store, outcome: &Outcome, past: &[Outcome]) -> Vec<Delivery> {
    let desk = Desk {
        reports,
        secrets: &|_| Ok(Secret::new("x")),
        code: &|o| u8::from(o.verdict > Verdict::Warning),
        store,
    };
    desk.tell(outcome, past, &[])
}

fn lines(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    std::iter::from_fn(|| {
        let n = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..n]).into_owned())
    })
    .collect()
}

#[test]
fn what_could_not_be_told_is_told_with_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("log");
    let store = Store::of(dir.path(), "home");
    let reports = reports(&socket, &[Moment::Failure]);
    let runs: Vec<Outcome> = (0..2).map(|d| night(d, Verdict::Failed)).collect();
    let first = tell(&reports, &store, &runs[0], &[]);
    assert!(first[0].result.is_err());
    assert_eq!(store.undelivered().unwrap().len(), 1);
    // Nobody is there for the second either: the first is not tried again just now.
    assert_eq!(tell(&reports, &store, &runs[1], &runs[..1]).len(), 1);
    assert_eq!(store.undelivered().unwrap().len(), 2);

    let listener = UnixDatagram::bind(&socket).unwrap();
    let told = tell(&reports, &store, &night(2, Verdict::Success), &runs);
    assert!(told.iter().all(|d| d.result.is_ok()), "{told:?}");
    assert!(
        told[0].notifier.contains("late, of the run of 2026-10-20"),
        "{told:?}"
    );
    let lines = lines(&listener);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("<27>dupr[") && lines[0].contains("FAILED home on nas1"));
    assert_eq!(store.undelivered().unwrap(), []);
}

#[test]
fn a_message_is_given_up_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "home");
    let reports = reports(&dir.path().join("log"), &[Moment::Failure]);
    let mut runs = vec![night(0, Verdict::Failed)];
    tell(&reports, &store, &runs[0], &[]);
    for day in 1..10 {
        let next = night(day, Verdict::Success);
        assert_eq!(tell(&reports, &store, &next, &runs).len(), 1, "day {day}");
        runs.push(next);
    }
    assert_eq!(store.undelivered().unwrap(), []);
    assert!(tell(&reports, &store, &night(10, Verdict::Success), &runs).is_empty());
}

#[test]
fn a_recipient_that_is_no_more_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "home");
    let run = night(0, Verdict::Failed);
    tell(
        &reports(&dir.path().join("log"), &[Moment::Failure]),
        &store,
        &run,
        &[],
    );
    tell(
        &Reports::default(),
        &store,
        &night(1, Verdict::Success),
        &[run],
    );
    assert_eq!(store.undelivered().unwrap(), []);
}
