//! What a DNS client of others shows of an answer: cases for tables.

use std::net::SocketAddr;
use std::time::Duration;

use crate::program::{printed, program};

/// How long one command may take; those that are not answered try again by themselves.
const LIMIT: Duration = Duration::from_secs(20);

/// A command and what is to be seen.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// `dig`, `kdig` or `drill` and its arguments, all but the server's.
    pub command: &'static str,
    /// Words that must be there.
    pub shows: &'static [&'static str],
    /// Words that must not.
    pub hides: &'static [&'static str],
}

/// A case.
pub const fn case(command: &'static str, shows: &'static [&'static str], hides: &'static [&'static str]) -> Case {
    Case { command, shows, hides }
}

/// Runs the case against `server` and says what is wrong, if anything. An argument that is the first of a pair of
/// `names` stands for the second.
pub fn judge(server: SocketAddr, case: &Case, names: &[(&str, &str)]) -> Option<String> {
    let full = |word| names.iter().find(|(short, _)| *short == word).map_or(word, |(_, long)| *long);
    let mut words = case.command.split(' ').map(full);
    let mut command = program(words.next().unwrap_or_default());
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]).args(words);
    let text = printed(&mut command, LIMIT);
    let missing: Vec<_> = case.shows.iter().filter(|words| !text.contains(**words)).collect();
    let unwanted: Vec<_> = case.hides.iter().filter(|words| text.contains(**words)).collect();
    let is_right = missing.is_empty() && unwanted.is_empty();
    (!is_right).then(|| format!("{}: without {missing:?}, with {unwanted:?}: {text}", case.command))
}
