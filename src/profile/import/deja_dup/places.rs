//! Where Déjà Dup keeps its backups, as URLs of dupr.

use super::Import;
use crate::engine::storage::TargetUrl;
use crate::profile::error::Errors;
use crate::profile::import::url_path;
use std::path::Path;

/// What to do where the settings do not suffice.
const BY_HAND: &str = "nothing was written; make a profile with `dupr init`";

impl Import<'_> {
    /// The URL of the target, and whether it may be absent.
    pub(super) fn target(&mut self) -> Result<(String, bool), Errors> {
        let backend = self.settings.text("backend").unwrap_or("auto".to_owned());
        let (mut url, optional) = match backend.as_str() {
            "local" => {
                let folder = self.around.home.join(self.folder("local"));
                (format!("file://{}", url_path(&folder)), false)
            }
            "drive" => (self.drive()?, true),
            "remote" => (self.remote()?, false),
            "rclone" => {
                let remote = self.settings.text("rclone.remote").ok_or_else(|| {
                    let text =
                        "Déjà Dup's backups go through rclone, but the settings say no remote";
                    Errors::single(text, Some(BY_HAND.to_owned()))
                })?;
                let folder = self.folder("rclone");
                let remote = remote.trim_end_matches(':');
                (
                    format!("rclone://{remote}:{}", folder.trim_start_matches('/')),
                    false,
                )
            }
            "google" | "microsoft" => (self.cloud(&backend), false),
            "auto" => {
                return Err(Errors::single(
                    "Déjà Dup has no place for backups yet: its backend is auto",
                    Some("choose one there, or make a profile with `dupr init`".to_owned()),
                ));
            }
            other => {
                return Err(Errors::single(
                    format!("Déjà Dup keeps its backups at {other:?}, and dupr does not know that"),
                    Some(
                        "make a profile with `dupr init`; `dupr doctor` lists what there is"
                            .to_owned(),
                    ),
                ));
            }
        };
        if let Some(tool) = self
            .settings
            .text("tool")
            .filter(|tool| tool != "duplicity")
        {
            self.warn(format!(
                "Déjà Dup works with {tool} here: its backup stays as it is, and the profile begins one beside it, {url}-dupr"
            ));
            url.push_str("-dupr");
        }
        if let Err(e) = TargetUrl::parse(&url) {
            let help =
                "mount the place and name the folder (file:///…), or reach it through rclone";
            return Err(Errors::single(
                format!("dupr cannot go to {}: {e}", crate::profile::url::mask(&url)),
                Some(help.to_owned()),
            ));
        }
        Ok((url, optional))
    }

    /// The folder of a kind of place. It is called by the host if nothing else is said.
    fn folder(&mut self, child: &str) -> String {
        let folder = self.settings.text(&format!("{child}.folder"));
        let folder = folder.unwrap_or("$HOSTNAME".to_owned());
        folder.replace("$HOSTNAME", self.host)
    }

    /// A drive, by the folder where desktops mount it.
    fn drive(&mut self) -> Result<String, Errors> {
        let name = self.settings.text("drive.name");
        let uuid = self.settings.text("drive.uuid");
        let folder = self.folder("drive");
        let label = name.or(uuid.clone()).ok_or_else(|| {
            Errors::single(
                "the settings say neither name nor UUID of the drive",
                Some(BY_HAND.to_owned()),
            )
        })?;
        let user = self.user();
        let user = user.as_deref().unwrap_or_default();
        let bases = ["/media", "/run/media"].map(|base| Path::new(base).join(user).join(&label));
        let [usual, other] = &bases;
        let mounted = if other.is_dir() { other } else { usual };
        let place = mounted.join(folder.trim_start_matches('/'));
        let uuid = uuid
            .map(|uuid| format!(" (UUID {uuid})"))
            .unwrap_or_default();
        self.warn(format!(
            "the drive {label}{uuid} is looked for at {}: check where it is mounted",
            mounted.display()
        ));
        Ok(format!("file://{}", url_path(&place)))
    }

    fn remote(&mut self) -> Result<String, Errors> {
        let uri = self.settings.text("remote.uri");
        let Some(uri) = uri.filter(|uri| uri.contains("://")) else {
            return Err(Errors::single(
                "the settings say no address of the server",
                Some(BY_HAND.to_owned()),
            ));
        };
        let folder = self.folder("remote");
        let folder = url_path(Path::new(folder.trim_start_matches('/')));
        // In GNOME's meaning, where paths begin at the root of a server.
        Ok(format!("gio+{}/{folder}", uri.trim_end_matches('/')))
    }

    /// A service dupr reaches through rclone alone.
    fn cloud(&mut self, backend: &str) -> String {
        let (remote, service) = match backend {
            "google" => ("google-drive", "Google Drive"),
            _ => ("onedrive", "OneDrive"),
        };
        let folder = self.folder(backend);
        self.warn(format!(
            "dupr reaches {service} through rclone: make a remote called {remote} with `rclone config`, and look whether it shows the folder {folder}"
        ));
        format!("rclone://{remote}:{}", folder.trim_start_matches('/'))
    }
}
