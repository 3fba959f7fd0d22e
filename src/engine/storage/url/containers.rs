//! Containers of object stores: which names they can have, and what is a server instead.

use super::{Place, usage};
use crate::engine::error::Result;

/// Whether what stands where a bucket may stand is a server: the names that Amazon's have, and those of many others; an address.
pub(super) fn is_server(host: &str) -> bool {
    let is_storage = host.starts_with("s3.") || host.starts_with("s3-");
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok()
        || [
            ".amazonaws.com",
            ".amazonaws.com.cn",
            ".googleapis.com",
            ".windows.net",
        ]
        .iter()
        .any(|end| host.ends_with(end))
        || (is_storage && host.matches('.').count() > 1)
}

/// A container, whose name Azure would refuse if it broke these rules.
// Source: "Naming and referencing containers, blobs, and metadata" of the service's REST interface.
pub(super) fn azure(container: String, prefix: String) -> Result<Place> {
    let name = container.as_bytes();
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = (3..=63).contains(&name.len())
        && name.iter().all(|b| plain(b) || *b == b'-')
        && name.first().is_some_and(plain)
        && name.last().is_some_and(plain)
        && !container.contains("--");
    if good || container == "$root" {
        return Ok(Place::Azure { container, prefix });
    }
    let text = format!("{container:?} cannot be the name of a container");
    Err(usage(text).with_hint(
        "it has 3 to 63 lower-case letters, digits and single dashes, and no dash at an end",
    ))
}

/// A container whose name can stand in an address.
pub(super) fn swift(archive: bool, container: String, prefix: String) -> Result<Place> {
    let is_odd = |part: &str| part == "." || part == "..";
    if is_odd(&container) || prefix.split('/').any(is_odd) {
        return Err(usage(
            "a container or folder of object storage cannot be . or ..",
        ));
    }
    Ok(Place::Swift {
        archive,
        container,
        prefix,
    })
}
