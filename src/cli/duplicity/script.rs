//! A call of duplicity in somebody's script, understood as if it had been typed here.

use super::args::Request;
use super::flags::Effect;
use crate::profile::import::script::Call;
use std::ffi::OsString;

/// What the words behind the program's name ask for. Options without effect are left out.
///
/// # Errors
/// Why they cannot be understood, in one line.
pub fn read(words: &[String]) -> Result<Call, String> {
    let request = Request::parse(words.iter().map(OsString::from));
    let args = match request.map_err(|fault| fault.text)? {
        Request::Run(args) => args,
        Request::Version | Request::Help | Request::Urls => {
            return Err("it only asks for help or version".to_owned());
        }
    };
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let acting = args
        .options
        .iter()
        .filter(|(flag, _)| matches!(flag.effect, Effect::Honored | Effect::Renamed(_)));
    Ok(Call {
        action: args.action.name().to_owned(),
        words: args.words.iter().map(text).collect(),
        options: acting
            .map(|(flag, values)| (flag.means.to_owned(), values.iter().map(text).collect()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_full_names() {
        let words = [
            "inc",
            "--no-enc",
            "-v4",
            "--volsize",
            "5",
            "--asynchronous-upload",
            "/a",
            "file:///b",
        ];
        let call = read(&words.map(str::to_owned)).unwrap();
        assert_eq!(call.action, "incremental");
        assert_eq!(call.words, ["/a", "file:///b"]);
        let names: Vec<&str> = call.options.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(&names[..3], ["no-encryption", "verbosity", "volsize"]);
        assert_eq!(call.options[2].1, ["5"]);
        assert!(read(&["frob".to_owned()]).is_err());
        assert!(read(&["--version".to_owned()]).is_err());
    }
}
