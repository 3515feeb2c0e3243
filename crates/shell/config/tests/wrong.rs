//! The table of wrong configurations: each file of `tests/wrong/` holds a configuration and the problems it must
//! give, no more and no fewer. A part starts with `#= NAME`; the parts that are no TOML are comments.
#![allow(clippy::unwrap_used, reason = "the functions that the tests share fail them by a panic")]

use std::path::{Path, PathBuf};

use perigee_config::Layers;

struct Case {
    name: String,
    main: Option<String>,
    regions: Vec<(String, String)>,
    env: Vec<(String, String)>,
    flags: Vec<(String, String, String)>,
    expect: Vec<String>,
}

fn cases() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|f| case(f)).collect()
}

fn case(file: &Path) -> Case {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let mut case = Case { name, main: None, regions: vec![], env: vec![], flags: vec![], expect: vec![] };
    for part in text.split("#= ").skip(1) {
        let (title, body) = part.split_once('\n').unwrap();
        let lines = || body.lines().filter_map(|l| l.strip_prefix("# "));
        match title {
            "perigee.toml" => case.main = Some(body.to_owned()),
            "environment" => {
                case.env = lines().map(|l| l.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
            }
            "flags" => {
                let words = |l: &str| l.split(' ').map(str::to_owned).collect::<Vec<_>>();
                case.flags = lines().map(words).map(|w| (w[0].clone(), w[1].clone(), w[2].clone())).collect();
            }
            "expect" => case.expect = lines().map(str::to_owned).collect(),
            region => {
                let code = region.strip_prefix("regions/").unwrap().strip_suffix(".toml").unwrap();
                case.regions.push((code.to_owned(), body.to_owned()));
            }
        }
    }
    assert!(!case.expect.is_empty(), "{} expects nothing", case.name);
    case
}

#[test]
fn every_wrong_configuration_gives_its_problems_and_no_others() {
    let cases = cases();
    assert!(cases.len() >= 240, "only {} cases", cases.len());
    let mut failures = String::new();
    for case in cases {
        let regions: Vec<(&str, &str)> = case.regions.iter().map(|(c, t)| (c.as_str(), t.as_str())).collect();
        let env: Vec<(&str, &str)> = case.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let flags: Vec<(&str, &str, &str)> =
            case.flags.iter().map(|(k, v, f)| (k.as_str(), v.as_str(), f.as_str())).collect();
        let result = Layers::from_strings(case.main.as_deref(), &regions).env(&env).flags(&flags).load();
        let got: Vec<String> = match result {
            Ok(_) => vec![],
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        // Order is by file, which the expectations need not know.
        let all = got.len() == case.expect.len()
            && case.expect.iter().all(|e| got.iter().filter(|g| g.starts_with(e.as_str())).count() == 1);
        if !all {
            failures += &format!("{}:\n  expected {:#?}\n  got {got:#?}\n", case.name, case.expect);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
