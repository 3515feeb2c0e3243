use perigee_sim::Outcome;

use super::live::held;
use super::run::Watcher;
use super::{reports, worlds};
use crate::args::{Behaviour, Sources, sim::Compare};
use crate::output;

/// Two runs side by side. Fails when something does not hold in one of them.
pub(super) fn compare(args: &Compare) -> Result<(), String> {
    let (a, b) = match &args.b {
        Some(b) => (outcome(&args.a, &args.sources, args.seed)?, outcome(b, &args.sources, args.seed)?),
        None => {
            let as_if = |behaviour| Sources { behaviour: Some(behaviour), ..args.sources.clone() };
            (
                outcome(&args.a, &as_if(Behaviour::Aws), args.seed)?,
                outcome(&args.a, &as_if(Behaviour::Fast), args.seed)?,
            )
        }
    };
    output::line(reports::compare(&a, &b, args.report.as_deref())?);
    // What the original cannot do is the point of setting the two behaviours side by side.
    if args.behaviours { Ok(()) } else { held(&a.scenario, &a.bounds).and_then(|()| held(&b.scenario, &b.bounds)) }
}

fn outcome(what: &str, sources: &Sources, seed: u64) -> Result<Outcome, String> {
    let mut watcher = Watcher::new(None)?;
    let outcome = worlds::outcome_of(what, sources, seed, &mut watcher)?;
    watcher.end()?;
    Ok(outcome)
}
