//! Failures on purpose, as duplicity's own tests ask for them: `--fail-on-volume`, `--skip-volume`, and behind URLs of
//! `fortestsonly://`, which mean `file://`, the variables `DUP_FAIL_…`. With them tests stop either program at the same place.

use super::args::Args;
use super::fault::Result;
use super::session::World;
use crate::engine::error::{Error, ErrorKind, Result as Stored};
use crate::engine::format::FileKind;
use crate::engine::format::names::Naming;
use crate::engine::storage::{LocalObject, Location, Object, Storage};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SCHEME: &str = "fortestsonly://";

/// The URL that is meant by one for tests.
pub(super) fn meant(url: &str) -> Option<String> {
    Some(format!("file://{}", url.strip_prefix(SCHEME)?))
}

/// What is to go wrong.
#[derive(Debug, Default, Clone)]
struct Plan {
    /// Number of the volume after which every upload fails.
    fail_after: Option<u32>,
    /// Number of the volume that is not stored.
    skip: Option<u32>,
    /// Text in the names of files of which every call fails.
    fail: Option<String>,
    /// Text in the names of files after which the run ends.
    end: Option<String>,
    /// Text in the names of files that are not stored, and no error told.
    silent: Option<String>,
}

/// The storage that fails as it is asked to; `storage` itself if nothing was asked for.
pub(super) fn storage(
    storage: Arc<dyn Storage>,
    args: &Args,
    url: &str,
    naming: &Naming,
    world: &World,
) -> Result<Arc<dyn Storage>> {
    let is_test = meant(url).is_some();
    let variable = |name: &str| {
        let value = world.environment.get(name).filter(|v| !v.is_empty());
        value.filter(|_| is_test).map(str::to_owned)
    };
    let volume = |option: &str| Ok::<_, super::Fault>(args.number(option)?.filter(|n| *n > 0));
    let plan = Plan {
        fail_after: volume("fail-on-volume")?,
        skip: volume("skip-volume")?,
        fail: variable("DUP_FAIL_WITH_EXCEPTION"),
        end: variable("DUP_FAIL_BY_SYSTEM_EXIT"),
        silent: variable("DUP_FAIL_SKIP_PUT_SILENT"),
    };
    let wanted = plan.fail_after.or(plan.skip).is_some() || is_test;
    Ok(match wanted {
        true => Arc::new(Sabotaged {
            inner: storage,
            plan,
            naming: naming.clone(),
            is_over: AtomicBool::new(false),
        }),
        false => storage,
    })
}

struct Sabotaged {
    inner: Arc<dyn Storage>,
    plan: Plan,
    naming: Naming,
    /// Whether every upload fails from now on.
    is_over: AtomicBool,
}

fn matches(text: &Option<String>, name: &str) -> bool {
    text.as_ref().is_some_and(|text| name.contains(text))
}

impl Sabotaged {
    fn call(&self, name: &str) -> Stored<()> {
        match matches(&self.plan.fail, name) {
            true => Err(Error::new(
                ErrorKind::Io,
                format!("{name} fails on purpose"),
            )),
            false => Ok(()),
        }
    }

    fn upload(&self, name: &str, put: impl FnOnce() -> Stored<()>) -> Stored<()> {
        self.call(name)?;
        if self.is_over.load(Ordering::SeqCst) {
            let text = format!("{name} is not stored: the run fails on purpose");
            return Err(Error::new(ErrorKind::Internal, text));
        }
        let volume = match self.naming.parse(name).map(|n| n.kind) {
            Some(FileKind::Volume(n)) => Some(n),
            _ => None,
        };
        let skipped = volume.is_some() && volume == self.plan.skip;
        if skipped || matches(&self.plan.silent, name) {
            let text = format!("{name} is not at the target after its upload");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        put()?;
        if matches(&self.plan.end, name) {
            self.is_over.store(true, Ordering::SeqCst);
            let text = format!("the run ends on purpose after {name}");
            return Err(Error::new(ErrorKind::Internal, text));
        }
        if volume.is_some() && volume == self.plan.fail_after {
            self.is_over.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Storage for Sabotaged {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> Stored<Vec<Object>> {
        self.inner.list()
    }

    fn stat(&self, name: &str) -> Stored<Option<Object>> {
        self.inner.stat(name)
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Stored<u64> {
        self.call(name)?;
        self.inner.get(name, to)
    }

    fn open_local(&self, name: &str) -> Stored<Option<LocalObject>> {
        self.call(name)?;
        self.inner.open_local(name)
    }

    fn put(&self, name: &str, from: &Path) -> Stored<()> {
        self.upload(name, || self.inner.put(name, from))
    }

    fn put_settled(&self, name: &str, from: &Path) -> Stored<()> {
        self.upload(name, || self.inner.put_settled(name, from))
    }

    fn claim(&self, name: &str, from: &Path) -> Stored<()> {
        self.upload(name, || self.inner.claim(name, from))
    }

    fn delete(&self, name: &str) -> Stored<()> {
        self.call(name)?;
        self.inner.delete(name)
    }

    fn distrust(&self, name: &str) {
        self.inner.distrust(name);
    }

    fn notices(&self) -> Vec<String> {
        self.inner.notices()
    }
}
