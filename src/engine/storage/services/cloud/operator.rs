//! What opendal needs to run here: an HTTP client that heeds when to come back, and who sends parts side by side.

use super::super::later::Heeding;
use crate::engine::error::{Error, Result};
use crate::engine::storage::runtime;
use crate::engine::storage::transfer::Transfer;
use opendal::raw::BoxedStaticFuture;
use opendal::{Builder, Execute, Executor, HttpTransporter, Operator};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// An operator of a service, with what it needs to run here, through this transport; `None` for the usual one.
pub(in super::super) fn operator(
    service: impl Builder,
    transport: Option<HttpTransporter>,
    transfer: &Arc<Transfer>,
    explain: impl Fn(opendal::Error) -> Error,
) -> Result<Operator> {
    // Gives opendal its HTTP client; repeated calls do nothing.
    opendal::install_default();
    let runtime = runtime::get()?;
    let operator = Operator::new(service).map_err(explain)?;
    let transport = Heeding::new(transport.unwrap_or_default(), Arc::clone(transfer));
    let context = operator
        .base_context()
        .with_executor(Executor::with(Parts(runtime)))
        .with_http_transport(HttpTransporter::new(transport));
    Ok(operator.with_context(context))
}

/// Sends the parts of an upload side by side; opendal has no executor of its own in this build.
struct Parts(&'static Runtime);

impl Execute for Parts {
    fn execute(&self, part: BoxedStaticFuture<()>) {
        self.0.spawn(part);
    }
}
