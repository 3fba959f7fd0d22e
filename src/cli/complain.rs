//! Why nothing was done: in words on standard error, and with `--json` as a document on standard output too.

use super::session::Session;
use super::ui::out;
use super::{exit, run};
use crate::engine::error::Error;
use crate::profile::Errors;
use serde_json::json;

/// Version of the JSON document.
const SCHEMA: u32 = 1;

/// Tells everything that is wrong with what was asked for; the exit code of usage.
pub fn about(errors: &Errors, session: &Session) -> u8 {
    let text = errors.render(session.colors(session.world.terminal.error));
    out::complaint(text.trim_end());
    let lines = errors.to_string().lines().map(str::to_owned).collect();
    document(exit::USAGE, lines, session)
}

/// Tells an error that ended everything; its exit code.
pub fn error(error: &Error, session: &Session) -> u8 {
    let hint = error.hint().map(|h| format!(" ({h})")).unwrap_or_default();
    let code = run::failed(error);
    document(code, vec![format!("{error}{hint}")], session)
}

/// Prints `{schema, code, errors}` if JSON is asked for, and returns the code.
pub fn document(code: u8, errors: Vec<String>, session: &Session) -> u8 {
    if session.common.json {
        out::json(&json!({"schema": SCHEMA, "code": code, "errors": errors}));
    }
    code
}
