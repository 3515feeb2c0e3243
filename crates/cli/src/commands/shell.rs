use std::io::stdout;
use std::path::Path;

use clap::CommandFactory;

use crate::args::Cli;
use crate::output;

/// Prints a completion script.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), String> {
    clap_complete::generate(shell, &mut Cli::command(), "perigee", &mut stdout());
    Ok(())
}

/// Writes a man page per command.
pub(crate) fn man(dir: &Path) -> Result<(), String> {
    let problem = |e: std::io::Error| format!("{}: {e}", dir.display());
    std::fs::create_dir_all(dir).map_err(problem)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(problem)?;
    output::line(format!("man pages are in {}", dir.display()));
    Ok(())
}
