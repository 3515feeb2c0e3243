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
    /// The edge shell (not built yet)
    Edge,
    /// The load balancer shell (not built yet)
    Alb,
}

/// What only some measurements know; a list is given with commas.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Seconds of a turn (dns)
    #[arg(long)]
    secs: Option<f64>,
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
    if name == Name::Dns {
        tools::dns_peers()?;
        // Measured as it is run: the program itself.
        exec::run(cargo(["build", "--quiet", "--locked", "--release", "--package", "perigee"]))?;
        let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
        bench.env("PERIGEE", folder.join("release/perigee")).stderr(std::process::Stdio::inherit());
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

impl Options {
    /// As arguments of the bench. Errors: the bench knows none.
    fn arguments(&self, name: Name) -> Result<Vec<String>, Failure> {
        let given = [
            ("--secs", self.secs.map(|secs| secs.to_string())),
            ("--clients", self.clients.clone()),
            ("--names", self.names.clone()),
            ("--regions", self.regions.clone()),
        ];
        let given: Vec<String> =
            given.into_iter().filter_map(|(key, value)| Some([key.to_owned(), value?])).flatten().collect();
        if name != Name::Dns && !given.is_empty() {
            return Err(Failure::new(format!("only `bench dns` knows {}", given[0])));
        }
        Ok(given)
    }
}

/// Package and bench target that measure `name`.
fn target(name: Name) -> Result<(&'static str, &'static str), Failure> {
    match name {
        Name::Sim => Ok(("perigee-sim", "queue")),
        Name::Dns => Ok(("perigee-dns", "dns")),
        Name::Edge | Name::Alb => {
            let name = format!("{name:?}").to_lowercase();
            Err(Failure::new(format!("`bench {name}` is not built yet; what there is: `bench sim`, `bench dns`")))
        }
    }
}

/// The lines of a bench's output as JSON. Errors: no line, or one that is not JSON.
fn values(printed: &str) -> Result<Vec<Value>, Failure> {
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

/// For people: a line per work, rates in millions.
fn table(records: &[Record<'_>]) -> String {
    let width = records.iter().map(|record| record.work.len()).max().unwrap_or(0);
    let mut table = String::new();
    for Record { work, peer, candidate_per_cpu_s, peer_per_cpu_s, ratio, rounds } in records {
        let (ours, theirs) = (candidate_per_cpu_s / 1e6, peer_per_cpu_s / 1e6);
        table += &format!(
            "{work:width$}  {ours:7.3} M per CPU second, {peer} {theirs:7.3} M: {ratio:5.2} times (median of {rounds})\n"
        );
    }
    table
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
        for word in ["w ", "3.000 M", "p ", "2.000 M", "1.50 times", "median of 5"] {
            assert!(table.contains(word), "no `{word}` in {table}");
        }
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
        assert!(options.arguments(Name::Sim).unwrap_err().to_string().contains("--secs"));
        assert!(Options::default().arguments(Name::Sim).unwrap().is_empty());
    }
}
