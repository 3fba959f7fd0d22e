//! Checks `[report.email]`: to whom, from whom, and how a mail is handed over.

use super::Checker;
use crate::profile::file::EmailFile;
use crate::profile::mail_server::MailServer;
use crate::profile::reports::{Email, MailTransport};
use crate::profile::secret::SecretRef;
use std::collections::BTreeMap;
use std::path::PathBuf;

impl Checker<'_> {
    pub(super) fn email(&mut self, file: &EmailFile, inline: bool) -> Option<Email> {
        let key = "report.email";
        let password = file
            .password
            .as_ref()
            .and_then(|p| self.secret("report.email.password", p, inline));
        for (i, to) in file.to.0.iter().enumerate() {
            if !to.contains('@') && !to.chars().all(|c| c.is_alphanumeric() || "._-".contains(c))
                || to.is_empty()
            {
                self.problem(
                    &format!("{key}.to.{i}"),
                    format!("{to:?} is not a mail address"),
                    "write it as me@example.org".to_owned(),
                );
            }
        }
        if file.to.is_empty() && !self.excused("report.email.to") {
            self.problem(
                key,
                "the mail report says no recipient",
                Some("write to = [\"me@example.org\"]".to_owned()),
            );
        }
        let transport = self.mail_transport(file, password, inline);
        let Some(from) = file.from.clone() else {
            if !self.excused("report.email.from") {
                self.problem(
                    key,
                    "the mail report says no sender",
                    Some("write from = \"backup@example.org\"".to_owned()),
                );
            }
            return None;
        };
        for (name, _) in file
            .templates
            .iter()
            .filter(|(n, _)| !["subject", "text", "html"].contains(&n.as_str()))
        {
            let help = "possible: subject, text, html".to_owned();
            self.problem(
                &format!("{key}.templates.{name}"),
                format!("there is no template {name:?}"),
                Some(help),
            );
        }
        let templates: BTreeMap<String, PathBuf> = file
            .templates
            .iter()
            .map(|(name, path)| {
                (
                    name.clone(),
                    self.path(&format!("{key}.templates.{name}"), path),
                )
            })
            .collect();
        Some(Email {
            to: file.to.0.clone(),
            from,
            transport: transport?,
            when: file.when.0.clone(),
            attach_log: file.attach_log,
            templates,
        })
    }

    fn mail_transport(
        &mut self,
        file: &EmailFile,
        password: Option<SecretRef>,
        inline: bool,
    ) -> Option<MailTransport> {
        let key = "report.email";
        match (&file.smtp, &file.sendmail) {
            (Some(_), Some(_)) => {
                self.problem(
                    "report.email.sendmail",
                    "smtp and sendmail are alternatives",
                    Some("keep one of them".to_owned()),
                );
                None
            }
            (Some(url), None) => {
                let (server, in_url) = match MailServer::parse(url) {
                    Ok(parsed) => parsed,
                    Err(why) => {
                        let help = "write it as smtps://user@mail.example.org:465, or smtp://…:587 for STARTTLS";
                        self.problem(
                            "report.email.smtp",
                            format!("not the URL of a mail server: {why}"),
                            Some(help.to_owned()),
                        );
                        return None;
                    }
                };
                if in_url.is_some() && !inline {
                    let help = "take it out and write password = { file = \"…\" }".to_owned();
                    self.problem("report.email.smtp", "the URL holds a password", Some(help));
                }
                let password = password.or(in_url.map(SecretRef::Inline));
                if server.user.is_some() && password.is_none() && file.password.is_none() {
                    let help = "write password = { file = \"…\" }, or take the user out".to_owned();
                    self.problem(
                        "report.email.smtp",
                        "a user of the mail server without a password",
                        Some(help),
                    );
                }
                if server.user.is_none() && password.is_some() {
                    let help = "write smtp = \"smtps://user@host:465\"".to_owned();
                    self.problem(
                        "report.email.password",
                        "a password for the mail server without a user",
                        Some(help),
                    );
                }
                let ca_file = file.ca_file.as_ref();
                Some(MailTransport::Smtp {
                    server,
                    password,
                    ca_file: ca_file.map(|ca| self.path("report.email.ca-file", ca)),
                })
            }
            (None, Some(program)) => Some(MailTransport::Sendmail(
                self.path("report.email.sendmail", program),
            )),
            (None, None) => {
                if !self.excused(key) {
                    let help = "write smtp = \"smtps://user@host:465\" or sendmail = \"/usr/sbin/sendmail\"";
                    self.problem(
                        key,
                        "the mail report says no way to send",
                        Some(help.to_owned()),
                    );
                }
                None
            }
        }
    }
}
