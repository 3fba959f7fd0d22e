//! Text in lines that there is room for.

/// Columns that stay for the text, however narrow a terminal is.
const LEAST: usize = 30;

/// `text` in lines of at most `width` columns, which begin behind `indent` blanks; the first one stands where the caller has
/// written as much already. Lines of the text stay lines. They are broken at blanks, and what stands between backticks is to be
/// copied: it stays whole if a line has room for it.
pub fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(LEAST);
    let lines: Vec<String> = text.lines().flat_map(|line| broken(line, room)).collect();
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// A line in lines of at most `room` columns.
pub fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for piece in pieces(text, room) {
        if !line.is_empty() && columns(&line) + 1 + columns(&piece) > room {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&piece);
    }
    lines.push(line);
    lines
}

/// Words, and what stands between backticks as one.
fn pieces(text: &str, room: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split(' ') {
        match pieces.last_mut() {
            Some(last) if is_open && columns(last) + 1 + columns(word) <= room => {
                last.push(' ');
                last.push_str(word);
            }
            _ => pieces.push(word.to_owned()),
        }
        is_open ^= word.matches('`').count() % 2 == 1;
    }
    pieces
}

/// One for each character, as in tables.
fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_blanks_and_commands_are_not() {
        let text = "is the schedule in effect (`dupr schedule show`), and does its timer fire?";
        let told = wrapped(text, 44, 4);
        assert_eq!(
            told,
            "is the schedule in effect\n    (`dupr schedule show`), and does its\n    timer fire?"
        );
        assert!(told.lines().all(|line| columns(line) <= 44));
        assert_eq!(wrapped(text, 100, 4), text);
        // What has no blank stays whole, and so does what was two lines.
        let long = "x".repeat(50);
        assert_eq!(
            wrapped(&format!("a {long} b"), 40, 2),
            format!("a\n  {long}\n  b")
        );
        assert_eq!(wrapped("a\nb", 40, 2), "a\n  b");
        assert_eq!(wrapped("", 40, 2), "");
    }

    #[test]
    fn a_narrow_terminal_has_some_room_all_the_same() {
        let told = wrapped(&"word ".repeat(20), 10, 60);
        assert!(told.lines().count() > 2);
        assert!(told.lines().all(|line| columns(line.trim_start()) <= LEAST));
    }
}
