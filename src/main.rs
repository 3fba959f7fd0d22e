use dupr::engine::storage::askpass;
use std::os::unix::ffi::OsStrExt;

fn main() {
    // `ssh` started dupr to be told a password.
    if let Some(password) = std::env::var_os(askpass::VARIABLE) {
        let prompt = std::env::args_os().nth(1).unwrap_or_default();
        let code = askpass::answer(
            password.as_bytes(),
            &prompt.to_string_lossy(),
            &mut std::io::stdout(),
        );
        std::process::exit(code);
    }
}
