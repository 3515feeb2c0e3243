//! How the command speaks: results on standard output, problems on standard error, no panic on a closed pipe.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

/// Prints a line of the result. A reader that has gone away ends the program quietly, as `head` expects.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = stdout().lock();
    if let Err(error) = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush())
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}

/// Prints a line about the work itself.
pub(crate) fn note(text: impl AsRef<str>) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(stderr().lock(), "{}", text.as_ref());
}

/// Prints a problem and gives the exit status of a failed command.
pub(crate) fn failure(problem: &str) -> ExitCode {
    note(format!("{}: {problem}", paint("error", RED, stderr().is_terminal())));
    ExitCode::from(1)
}

pub(crate) const RED: &str = "31;1";
pub(crate) const GREEN: &str = "32";
pub(crate) const YELLOW: &str = "33";

/// `text` in a colour on a terminal, plain elsewhere and under `NO_COLOR`.
pub(crate) fn paint(text: &str, colour: &str, terminal: bool) -> String {
    if terminal && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{colour}m{text}\x1b[0m")
    } else {
        text.into()
    }
}

/// Whether results go to a terminal.
pub(crate) fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// A table without borders, columns two blanks apart.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
