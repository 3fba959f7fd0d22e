//! `--sftp-command` and `--scp-command`: programs of one's own on the way to an ssh server.
//!
//! dupr speaks sftp itself, through `ssh`. What such a command says about that way is kept: programs before it, where it
//! lies, its options as ssh spells them. What it says about moving files is not needed.

use super::fault::{Fault, Result};

/// Options of sftp and scp with a value that ssh has, too.
const SHARED: [&str; 6] = ["-o", "-F", "-i", "-c", "-J", "-l"];

/// Options of sftp and scp with a value that only move files.
const MOVING: [&str; 6] = ["-B", "-b", "-D", "-R", "-s", "-X"];

/// The `ssh` that goes the way of a command of sftp or scp.
///
/// # Errors
/// It names neither program, so nobody knows how it connects.
pub fn command(option: &str, text: &str) -> Result<String> {
    let words = super::keys::words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let name = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let at = words
        .iter()
        .position(|word| matches!(name(word).as_str(), "sftp" | "scp" | "ssh"));
    let Some((before, [program, rest @ ..])) = at.map(|at| words.split_at(at)) else {
        let text = format!("--{option} {text:?} names neither sftp nor scp");
        return Err(Fault::usage(text).with_hint(
            "name the OpenSSH programs, for instance torsocks sftp; ways of your own go into ProxyCommand of ~/.ssh/config",
        ));
    };
    let is_scp = name(program) == "scp";
    let folder = program.strip_suffix(&name(program)).unwrap_or_default();
    let mut program = format!("{folder}ssh");
    let mut options = Vec::new();
    let mut rest = rest.iter().copied().peekable();
    while let Some(word) = rest.next() {
        let (flag, joined) = match word.get(..2) {
            Some(flag) if flag.starts_with('-') => (flag, word.get(2..).unwrap_or_default()),
            _ => continue,
        };
        let takes =
            flag == "-S" || flag == "-P" || SHARED.contains(&flag) || MOVING.contains(&flag);
        let value = match (takes, joined) {
            (false, _) => "",
            (true, "") => rest.next().unwrap_or_default(),
            (true, joined) => joined,
        };
        match flag {
            "-S" => program = value.to_owned(),
            "-P" => options.extend(["-p".to_owned(), value.to_owned()]),
            // A limit of speed, for both.
            "-l" => {}
            _ if MOVING.contains(&flag) => {}
            _ if takes => options.extend([flag.to_owned(), value.to_owned()]),
            // Of times, folders and progress; copies over three machines; the older protocol.
            "-p" | "-r" | "-3" | "-O" | "-T" | "-a" | "-f" | "-N" => {}
            _ if is_scp && flag == "-d" => {}
            _ => options.push(word.to_owned()),
        }
    }
    let before = before.iter().map(|word| (*word).to_owned());
    let all = before.chain([program]).chain(options);
    let all: Vec<String> = all.map(|word| quoted(&word)).collect();
    Ok(all.join(" "))
}

/// A word as it stands in a line of words.
fn quoted(word: &str) -> String {
    match word.contains([' ', '\t', '"', '\'', '\\']) {
        true => format!("'{}'", word.replace('\'', r#"'"'"'"#)),
        false => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_command_is_kept() {
        for (text, ssh) in [
            ("sftp", "ssh"),
            ("/opt/openssh/bin/sftp", "/opt/openssh/bin/ssh"),
            ("torsocks scp -q", "torsocks ssh -q"),
            ("sudo -u ada sftp -P 2222", "sudo -u ada ssh -p 2222"),
            ("sftp -S /opt/tunnel -oPort=22", "/opt/tunnel -o Port=22"),
            ("scp -i /k -F /c -l 800 -pr -C", "ssh -i /k -F /c -C"),
            ("sftp -B 32768 -R64 -J jump", "ssh -J jump"),
            (
                "sftp '-oProxyCommand=nc -x h:9050 %h %p'",
                "ssh -o 'ProxyCommand=nc -x h:9050 %h %p'",
            ),
        ] {
            assert_eq!(command("sftp-command", text).unwrap(), ssh, "{text}");
        }
        for text in ["", "/home/ada/my-transfer", "rsync"] {
            assert_eq!(command("scp-command", text).unwrap_err().code, 23, "{text}");
        }
    }
}
