//! `cargo xtask bench`: how much work Perigee does per second of CPU time, and how much a peer does.
//!
//! This program is built without optimisation, so it only starts a bench target of the crate that is measured, built
//! as a release is (`cargo bench`), and reads the records that this one prints, a JSON object per line.

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::exec::{self, Failure, cargo, output, root};
use crate::tools;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// The simulator's event queue against the standard library's binary heap
    Sim,
    /// The DNS server against knot, gdnsd and pdns, which are installed if they are missing
    Dns,
    /// The edge against haproxy (splice) and nginx (stream), which are installed if they are missing
    Edge,
    /// The load balancer shell (not built yet)
    Alb,
}

/// What only some measurements know; a list is given with commas.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Seconds of a turn (dns, edge)
    #[arg(long)]
    secs: Option<f64>,
    /// GiB of a turn of the bulk work (edge)
    #[arg(long)]
    gib: Option<u64>,
    /// Numbers of clients (dns)
    #[arg(long)]
    clients: Option<String>,
    /// Numbers of names, to see what more names cost (dns)
    #[arg(long)]
    names: Option<String>,
    /// Numbers of regions, 2 to 32, to see what more regions cost (dns)
    #[arg(long)]
    regions: Option<String>,
}

/// One work, done by both.
#[derive(Debug, PartialEq)]
struct Record<'a> {
    work: &'a str,
    peer: &'a str,
    candidate_per_cpu_s: f64,
    peer_per_cpu_s: f64,
    ratio: f64,
    rounds: u64,
}

/// Measures and prints. Errors: nothing is built that measures this; the bench fails, or prints something else.
pub(crate) fn run(name: Name, json: bool, rounds: u32, options: &Options) -> Result<(), Failure> {
    let (package, bench) = target(name)?;
    eprintln!("building and running the bench target `{bench}` of {package}, which takes minutes the first time");
    let arguments = ["bench", "--quiet", "--locked", "--package", package, "--bench", bench, "--"];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into_iter().chain([rounds.to_string()]).collect();
    arguments.extend(options.arguments(name)?);
    let mut bench = cargo(arguments);
    match name {
        Name::Dns => tools::dns_peers()?,
        Name::Edge => tools::edge_peers()?,
        Name::Sim | Name::Alb => {}
    }
    if matches!(name, Name::Dns | Name::Edge) {
        // Measured as it is run: the program itself.
        bench.env("TEST_PERIGEE", release_binary()?).stderr(std::process::Stdio::inherit());
    }
    let printed = output(bench)?;
    let values = values(&printed)?;
    let records: Vec<Record<'_>> = values.iter().map(record).collect::<Result<_, _>>()?;
    if json {
        println!("{:#}", Value::Array(values));
    } else {
        print!("{}", table(&records));
    }
    Ok(())
}

/// Builds the `perigee` that is measured, as a release is, and gives its path.
pub(crate) fn release_binary() -> Result<std::path::PathBuf, Failure> {
    exec::run(cargo(["build", "--quiet", "--locked", "--release", "--package", "perigee"]))?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    Ok(folder.join("release/perigee"))
}

impl Options {
    /// As arguments of the bench. Errors: the bench knows none.
    fn arguments(&self, name: Name) -> Result<Vec<String>, Failure> {
        let both: &[Name] = &[Name::Dns, Name::Edge];
        let given = [
            ("--secs", self.secs.map(|secs| secs.to_string()), both),
            ("--gib", self.gib.map(|gib| gib.to_string()), &[Name::Edge]),
            ("--clients", self.clients.clone(), &[Name::Dns]),
            ("--names", self.names.clone(), &[Name::Dns]),
            ("--regions", self.regions.clone(), &[Name::Dns]),
        ];
        let mut arguments = Vec::new();
        for (key, value, known) in given {
            let Some(value) = value else { continue };
            if !known.contains(&name) {
                let known: Vec<_> = known.iter().map(|name| format!("`bench {name:?}`").to_lowercase()).collect();
                return Err(Failure::new(format!("only {} knows {key}", known.join(" and "))));
            }
            arguments.extend([key.to_owned(), value]);
        }
        Ok(arguments)
    }
}

/// Package and bench target that measure `name`.
fn target(name: Name) -> Result<(&'static str, &'static str), Failure> {
    match name {
        Name::Sim => Ok(("perigee-sim", "queue")),
        Name::Dns => Ok(("perigee-dns", "dns")),
        Name::Edge => Ok(("perigee-bench", "edge")),
        Name::Alb => {
            Err(Failure::new("`bench alb` is not built yet; what there is: `bench sim`, `bench dns`, `bench edge`"))
        }
    }
}

/// The lines of a bench's output as JSON. Errors: no line, or one that is not JSON.
pub(crate) fn values(printed: &str) -> Result<Vec<Value>, Failure> {
    let parse = |line: &str| {
        serde_json::from_str(line).map_err(|e| Failure::new(format!("the bench printed `{line}`, not a record: {e}")))
    };
    let values: Vec<Value> = printed.lines().filter(|line| !line.is_empty()).map(parse).collect::<Result<_, _>>()?;
    if values.is_empty() { Err(Failure::new("the bench printed no record")) } else { Ok(values) }
}

fn record(value: &Value) -> Result<Record<'_>, Failure> {
    let wrong = |key: &str| Failure::new(format!("a record of the bench has no fit `{key}`: {value}"));
    let text = |key: &str| value.get(key).and_then(Value::as_str).ok_or_else(|| wrong(key));
    let number = |key: &str| value.get(key).and_then(Value::as_f64).filter(|n| *n > 0.0).ok_or_else(|| wrong(key));
    Ok(Record {
        work: text("work")?,
        peer: text("peer")?,
        candidate_per_cpu_s: number("candidate_per_cpu_s")?,
        peer_per_cpu_s: number("peer_per_cpu_s")?,
        ratio: number("ratio")?,
        rounds: value.get("rounds").and_then(Value::as_u64).ok_or_else(|| wrong("rounds"))?,
    })
}

/// For people: a line per work and peer.
fn table(records: &[Record<'_>]) -> String {
    let widest = |of: fn(&Record<'_>) -> usize| records.iter().map(of).max().unwrap_or(0);
    let (width, peers) = (widest(|record| record.work.len()), widest(|record| record.peer.len()));
    let mut table = String::new();
    for Record { work, peer, candidate_per_cpu_s, peer_per_cpu_s, ratio, rounds } in records {
        let (ours, theirs) = (scaled(*candidate_per_cpu_s), scaled(*peer_per_cpu_s));
        table += &format!(
            "{work:width$}  {ours:>9} per CPU second, {peer:peers$} {theirs:>9}: {ratio:5.2} times (median of {rounds})\n"
        );
    }
    table
}

/// A rate with three digits behind the point and its thousands or millions as a letter.
fn scaled(rate: f64) -> String {
    match rate {
        1e5.. => format!("{:.3} M", rate / 1e6),
        1e3.. => format!("{:.3} k", rate / 1e3),
        _ => format!("{rate:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        r#"{"work":"w","peer":"p","candidate_per_cpu_s":3e6,"peer_per_cpu_s":2e6,"ratio":1.5,"rounds":5}"#;

    #[test]
    fn what_a_bench_prints_becomes_a_table() {
        let values = values(&format!("{LINE}\n\n{LINE}\n")).unwrap();
        let records: Vec<_> = values.iter().map(|value| record(value).unwrap()).collect();
        let table = table(&records);
        assert_eq!(table.lines().count(), 2);
        for word in ["w ", "3.000 M per CPU second", "p ", "2.000 M", "1.50 times", "median of 5"] {
            assert!(table.contains(word), "no `{word}` in {table}");
        }
    }

    #[test]
    fn rates_of_any_size_can_be_read() {
        assert_eq!([2.4567, 12_345.6, 359_000.0, 4e6].map(scaled), ["2.457", "12.346 k", "0.359 M", "4.000 M"]);
    }

    #[test]
    fn output_that_is_no_record_is_a_failure() {
        assert!(values("").is_err());
        assert!(values("running 0 tests").unwrap_err().to_string().contains("running 0 tests"));
        for (key, wrong) in [("3e6", "0"), ("\"p\"", "1"), ("\"ratio\"", "\"ration\""), ("5}", "-5}")] {
            let values = values(&LINE.replace(key, wrong)).unwrap();
            assert!(record(&values[0]).is_err(), "{values:?}");
        }
    }

    #[test]
    fn only_what_is_built_is_measured() {
        for name in Name::value_variants() {
            match target(*name) {
                Ok((package, bench)) => {
                    let folder = package.trim_start_matches("perigee-");
                    let crates = ["crates", "crates/shell"].map(|crates| root().join(crates).join(folder));
                    assert!(crates.iter().any(|folder| folder.join(format!("benches/{bench}.rs")).exists()));
                }
                Err(failure) => assert!(failure.to_string().contains("is not built yet"), "{failure}"),
            }
        }
        assert!(target(Name::Sim).is_ok());
    }

    #[test]
    fn options_go_to_the_bench_that_knows_them() {
        let options = Options { secs: Some(2.5), names: Some("10,1000".into()), ..Options::default() };
        assert_eq!(options.arguments(Name::Dns).unwrap(), ["--secs", "2.5", "--names", "10,1000"]);
        assert!(options.arguments(Name::Edge).unwrap_err().to_string().contains("only `bench dns` knows --names"));
        let options = Options { secs: Some(1.0), gib: Some(2), ..Options::default() };
        assert_eq!(options.arguments(Name::Edge).unwrap(), ["--secs", "1", "--gib", "2"]);
        assert!(options.arguments(Name::Dns).unwrap_err().to_string().contains("--gib"));
        assert!(options.arguments(Name::Sim).unwrap_err().to_string().contains("--secs"));
        assert!(Options::default().arguments(Name::Sim).unwrap().is_empty());
    }
}
