//! `dupr man`: a manual page for dupr, each tool and each command of a batch, made from the grammar the command line
//! is read with, and the one for the other front door.

use super::guides;
use crate::cli::args::{self, ManArgs, commands};
use crate::cli::session::Session;
use crate::cli::ui::out;
use crate::cli::{complain, duplicity, exit};
use crate::engine::error::{Error, ErrorKind, Result};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::Write;
use std::path::Path;

/// A manual page.
struct Page {
    /// Its name: `dupr-restore`.
    name: String,
    /// Its section: 1 for what can be typed.
    section: u8,
    /// Its text, in roff.
    text: String,
}

/// Prints one page, or writes all of them.
pub fn run(args: &ManArgs, session: &Session) -> u8 {
    let done = match &args.all {
        Some(folder) => write(&session.world.current_dir.join(folder), session),
        None => print(&args.page),
    };
    match done {
        Ok(()) => exit::DONE,
        Err(e) => complain::error(&e, session),
    }
}

fn print(words: &[String]) -> Result<()> {
    let words = words.join("-").to_lowercase();
    let name = match words.as_str() {
        "" | "dupr" => "dupr".to_owned(),
        "dupr.toml" | "profile" => "dupr.toml".to_owned(),
        // As `apropos` shows it, too.
        page => format!("dupr-{}", page.strip_prefix("dupr-").unwrap_or(page)),
    };
    let pages = pages()?;
    let page = pages.iter().find(|page| page.name == name).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("there is no page {name}(1)"))
            .with_hint("dupr man lists the tools and commands")
    })?;
    out::text(&page.text);
    Ok(())
}

fn write(folder: &Path, session: &Session) -> Result<()> {
    let pages = pages()?;
    if !session.common.plan {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("make", folder, e))?;
    }
    for page in pages {
        let path = folder.join(format!("{}.{}", page.name, page.section));
        if session.common.plan {
            out::line(&format!("would write  {}", path.display()));
            continue;
        }
        std::fs::write(&path, page.text).map_err(|e| Error::io("write", &path, e))?;
    }
    Ok(())
}

/// Every page there is.
fn pages() -> Result<Vec<Page>> {
    let mut grammar = args::grammar();
    grammar.build();
    let mut pages = vec![page(&grammar, end_of_dupr(&grammar))?, front_door()];
    tools(&grammar, &mut pages)?;
    for command in commands::commands() {
        // A word that is a tool as well has one page, the tool's.
        if grammar.find_subcommand(command.get_name()).is_none() {
            pages.push(page(&command, see_also(&["dupr", "dupr-plan"]))?);
        }
    }
    pages.extend([
        Page {
            name: "dupr.toml".to_owned(),
            section: 5,
            text: guides::profiles(),
        },
        Page {
            name: "dupr-recovery".to_owned(),
            section: 7,
            text: guides::recovery(),
        },
    ]);
    Ok(pages)
}

fn front_door() -> Page {
    Page {
        name: "dupr-duplicity".to_owned(),
        section: 1,
        text: duplicity::manual(),
    }
}

/// Pages of all tools below `parent`, and of what they can be told to do.
fn tools(parent: &Command, pages: &mut Vec<Page>) -> Result<()> {
    let above = parent.get_display_name().unwrap_or(parent.get_name());
    for tool in parent.get_subcommands().filter(|tool| !tool.is_hide_set()) {
        let mut end = Roff::default();
        let twin =
            commands::commands().find(|c| above == "dupr" && c.get_name() == tool.get_name());
        if let Some(command) = twin {
            end.control("SH", ["AS A COMMAND OF A BATCH"]);
            end.text([bold(usage(&command))]);
            end.control("PP", []);
            let more = command.get_long_about().map(ToString::to_string);
            end.text([roman(more.unwrap_or_default())]);
        }
        end.extend([see_also(&[above])]);
        pages.push(page(tool, end)?);
        tools(tool, pages)?;
    }
    Ok(())
}

/// A section of a page, as clap_mangen writes it.
type Section = fn(&Man, &mut dyn Write) -> std::io::Result<()>;

/// A command's page: what clap knows of it, then `end`.
fn page(command: &Command, end: Roff) -> Result<Page> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    // In one line what can be typed: clap_mangen would name every option there is.
    let man = Man::new(command.clone().override_usage(usage(command)))
        .source(concat!("dupr ", env!("CARGO_PKG_VERSION")))
        .manual("dupr");
    let mut sections: Vec<Section> = vec![
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    if command.has_subcommands() {
        sections.push(Man::render_subcommands_section);
    }
    // What roff begins every piece with; once is enough.
    let preamble = Roff::default().render();
    let mut text = preamble.clone();
    for section in sections {
        let mut part = Vec::new();
        section(&man, &mut part).map_err(|e| Error::from(e).within("cannot make a manual page"))?;
        let part = String::from_utf8_lossy(&part);
        text.push_str(part.strip_prefix(&preamble).unwrap_or(&part));
    }
    let end = end.render();
    text.push_str(end.strip_prefix(&preamble).unwrap_or(&end));
    Ok(Page {
        name: name.to_owned(),
        section: 1,
        text,
    })
}

/// What only dupr(1) has: the language of batches, and what exit codes mean.
fn end_of_dupr(grammar: &Command) -> Roff {
    let mut end = Roff::default();
    end.control("SH", ["COMMANDS OF A BATCH"]);
    end.text([
        bold("_"),
        roman(" then, "),
        bold("+"),
        roman(" only if the last command succeeded, "),
        bold("-"),
        roman(" only if it failed, "),
        bold("[ ]"),
        roman(" groups: `dupr home backup_purge`, `dupr home 'bkp+[verify-status]'`."),
    ]);
    for command in commands::commands() {
        end.control("TP", []);
        end.text([roman(format!("dupr-{}(1)", command.get_name()))]);
        let about = command.get_about().map(ToString::to_string);
        end.text([roman(about.unwrap_or_default())]);
    }
    end.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit::TABLE {
        end.control("TP", []);
        end.text([bold(code.to_string())]);
        end.text([roman(*meaning)]);
    }
    let mut names = vec!["dupr-duplicity".to_owned()];
    let tools = grammar
        .get_subcommands()
        .map(|t| format!("dupr-{}", t.get_name()));
    names.extend(tools);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    end.extend([see_also(&names)]);
    end
}

fn see_also(names: &[&str]) -> Roff {
    let mut end = Roff::default();
    end.control("SH", ["SEE ALSO"]);
    let mut names: Vec<String> = names.iter().map(|name| format!("{name}(1)")).collect();
    names.extend(["dupr.toml(5)", "dupr-recovery(7)"].map(str::to_owned));
    end.text([roman(names.join(", "))]);
    end
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_is_one_page_for_everything_that_can_be_typed() {
        let pages = pages().unwrap();
        let names: BTreeSet<&str> = pages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names.len(), pages.len(), "a name twice");
        assert!(names.contains("dupr.toml") && names.contains("dupr-recovery"));
        for page in &pages {
            let text = "Options that may stand anywhere";
            assert!(!page.text.contains(text), "{}", page.name);
        }
        for (word, _) in crate::plan::batch::WORDS {
            assert!(names.contains(format!("dupr-{word}").as_str()), "{word}");
        }
        for tool in args::grammar().get_subcommands() {
            let name = format!("dupr-{}", tool.get_name());
            assert!(names.contains(name.as_str()), "{name}");
        }
        for name in ["dupr", "dupr-duplicity", "dupr-schedule-install"] {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    fn pages_that_are_referred_to_are_there() {
        let pages = pages().unwrap();
        let names: BTreeSet<&str> = pages.iter().map(|p| p.name.as_str()).collect();
        let reference = regex::Regex::new(r"(dupr[a-z\\-]*)\(1\)").unwrap();
        for page in &pages {
            for found in reference.captures_iter(&page.text) {
                let name = found[1].replace("\\-", "-");
                assert!(names.contains(name.as_str()), "{} in {}", name, page.name);
            }
        }
    }

    #[test]
    fn a_page_names_arguments_and_options() {
        let pages = pages().unwrap();
        let text = |name: &str| {
            let page = pages.iter().find(|p| p.name == name).unwrap();
            page.text.replace("\\-", "-")
        };
        let restore = text("dupr-restore");
        assert!(restore.contains(".TH dupr-restore 1"), "{restore}");
        assert!(
            restore.contains("dupr-restore - Restore everything"),
            "{restore}"
        );
        assert!(restore.contains("exit code is 14"), "{restore}");
        assert_eq!(restore.matches(".ie ").count(), 1);
        assert!(restore.contains("LOCAL [AGE] [OPTIONS]"), "{restore}");
        assert!(restore.contains("--force") && !restore.contains("--compare-data"));
        assert!(text("dupr-verify").contains("--compare-data"));
        let status = text("dupr-status");
        assert!(status.contains("--exit-code") && status.contains("AS A COMMAND OF A BATCH"));
    }
}
