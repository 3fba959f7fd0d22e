//! `dupr rdiffdir`, and the program called by that name: signatures, deltas and patches of directories.

use super::args::{Args, Request};
use super::fault::{Fault, Result};
use super::log::{Log, Weight, verbosity};
use super::session::{World, context, source};
use crate::engine::error::Error;
use crate::engine::ops::rdiffdir;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

const USAGE: &str = "\
usage: rdiffdir [options] sig[nature] BASIS_DIRECTORY SIGNATURE_FILE
       rdiffdir [options] delta FULL_SIGTAR [INCREMENTAL_SIGTAR ...] NEW_DIRECTORY DELTA_FILE
       rdiffdir [options] patch BASIS_DIRECTORY DELTA_FILE
       rdiffdir [options] tar BASIS_DIRECTORY TAR_FILE

A file named - is standard input or output.

options:
  --write-sig-to FILE     with delta and tar: write the signatures of what is written, too
  -z, --gzip-compress     files are compressed with gzip
  --include, --exclude and all other selection options of duplicity
  -v, --verbosity LEVEL   --version   --help
";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Signature,
    Delta,
    Patch,
    Tar,
}

/// A command line, understood.
struct Call {
    action: Action,
    words: Vec<OsString>,
    gzip: bool,
    signatures: Option<OsString>,
    /// Selection, read by duplicity's rules.
    args: Args,
}

/// Runs an rdiffdir command line and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>, world: &World) -> i32 {
    let args: Vec<OsString> = args.into_iter().collect();
    let said = |name: &str| args.iter().any(|a| a == name);
    let print = |text: &str| {
        let _ = io::stdout().write_all(text.as_bytes());
        0
    };
    if said("--help") || said("-h") {
        return print(USAGE);
    }
    if said("--version") || said("-V") {
        return print(&format!(
            "rdiffdir 3.2.1 (dupr {})\n",
            env!("CARGO_PKG_VERSION")
        ));
    }
    match parse(args).and_then(|call| run(&call, world)) {
        Ok(()) => 0,
        Err(fault) => {
            let hint = fault.hint.map(|h| format!("\n({h})")).unwrap_or_default();
            let _ = writeln!(io::stderr(), "rdiffdir: {}{hint}", fault.text);
            fault.code
        }
    }
}

fn parse(args: Vec<OsString>) -> Result<Call> {
    let (mut gzip, mut signatures, mut rest) = (false, None, Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        match text.as_str() {
            "-z" | "--gzip-compress" => gzip = true,
            "--write-sig-to" | "--write-signature-to" => {
                let value = args.next();
                signatures =
                    Some(value.ok_or_else(|| Fault::usage(format!("{text} needs a file")))?);
            }
            _ => match text.strip_prefix("--write-sig-to=") {
                Some(file) => signatures = Some(file.into()),
                None => rest.push(arg),
            },
        }
    }
    // Options are those of duplicity; the words in between are not.
    let (mut args, mut words) = Request::options(rest)?;
    if words.is_empty() {
        return Err(Fault::usage("no action given").with_hint("rdiffdir --help"));
    }
    let word = words.remove(0);
    let (action, least, most) = match word.to_str().unwrap_or_default() {
        "sig" | "signature" => (Action::Signature, 2, 2),
        "delta" => (Action::Delta, 3, usize::MAX),
        "patch" => (Action::Patch, 2, 2),
        "tar" => (Action::Tar, 2, 2),
        other => return Err(Fault::usage(format!("{other:?} is no action"))),
    };
    if !(least..=most).contains(&words.len()) {
        return Err(
            Fault::usage(format!("{} takes other arguments", word.to_string_lossy()))
                .with_hint("rdiffdir --help"),
        );
    }
    args.words = Vec::new();
    Ok(Call {
        action,
        words,
        gzip,
        signatures,
        args,
    })
}

fn run(call: &Call, world: &World) -> Result<()> {
    let level = match call.args.text("verbosity")? {
        None => Weight::Warning as u8,
        Some(text) => {
            verbosity(text).ok_or_else(|| Fault::usage(format!("{text:?} is no verbosity")))?
        }
    };
    let log = Log::to_stderr(level);
    let cx = context(world, &log);
    let (Some(last), before) = (call.words.last(), &call.words) else {
        return Err(Fault::usage("no file given"));
    };
    let dir = match call.action {
        Action::Delta => before.get(before.len().saturating_sub(2)),
        _ => before.first(),
    };
    let dir = dir.map(OsString::as_os_str).unwrap_or_default();
    if call.action == Action::Patch {
        return Ok(rdiffdir::apply(
            Path::new(dir),
            input(last, call.gzip)?,
            &cx,
        )?);
    }
    std::fs::symlink_metadata(dir)
        .map_err(|e| Fault::usage(Error::io("find", Path::new(dir), e).to_string()))?;
    let tree = source(&call.args, dir, world.now)?;
    let mut out = output(last, call.gzip)?;
    let mut signed = match &call.signatures {
        Some(file) if call.action != Action::Signature => Some(output(file, call.gzip)?),
        _ => None,
    };
    let signed_out = signed.as_mut().map(|w| w as &mut dyn Write);
    match call.action {
        Action::Signature => rdiffdir::signatures(&tree, &mut out, &cx)?,
        _ => {
            let count = before.len().saturating_sub(2);
            let known = match call.action {
                Action::Delta => before.get(..count).unwrap_or_default(),
                _ => &[],
            };
            let known = known
                .iter()
                .map(|file| input(file, call.gzip))
                .collect::<Result<Vec<_>>>()?;
            rdiffdir::delta(&tree, known, Some(&mut out), signed_out, &cx)?;
        }
    }
    out.finish()?;
    signed.map_or(Ok(()), Out::finish)
}

fn input(file: &OsStr, gzip: bool) -> Result<Box<dyn Read + Send>> {
    let raw: Box<dyn Read + Send> = if file == "-" {
        Box::new(io::stdin())
    } else {
        let path = Path::new(file);
        Box::new(File::open(path).map_err(|e| Fault::from(Error::io("open", path, e)))?)
    };
    let raw = BufReader::with_capacity(256 * 1024, raw);
    Ok(if gzip {
        Box::new(MultiGzDecoder::new(raw))
    } else {
        Box::new(raw)
    })
}

/// A file being written, compressed or not.
enum Out {
    Plain(BufWriter<Box<dyn Write>>),
    Gzip(Box<GzEncoder<BufWriter<Box<dyn Write>>>>),
}

fn output(file: &OsStr, gzip: bool) -> Result<Out> {
    let raw: Box<dyn Write> = if file == "-" {
        Box::new(io::stdout())
    } else {
        let path = Path::new(file);
        Box::new(File::create(path).map_err(|e| Fault::from(Error::io("create", path, e)))?)
    };
    let raw = BufWriter::with_capacity(256 * 1024, raw);
    Ok(if gzip {
        Out::Gzip(Box::new(GzEncoder::new(raw, Compression::default())))
    } else {
        Out::Plain(raw)
    })
}

impl Out {
    fn finish(self) -> Result<()> {
        let mut raw = match self {
            Out::Plain(raw) => raw,
            Out::Gzip(gzip) => gzip.finish()?,
        };
        Ok(raw.flush()?)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Plain(raw) => raw.write(bytes),
            Out::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Plain(raw) => raw.flush(),
            Out::Gzip(gzip) => gzip.flush(),
        }
    }
}
