use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::destination::Destination;
use crate::drive::{Clock, Schedule, drive};
use crate::record::Record;
use crate::{LoadError, LoadPlan, Second, Summary, address};

/// Makes the load of `plan` and adds it up. `on_second` is called once a second, and once more at the end.
///
/// When `stop` is cancelled no more requests are started; those in flight are heard out, at most `plan.timeout`.
/// Runs on a tokio runtime with time and I/O.
///
/// # Errors
/// When the load cannot start: a value out of range, a URL or source address that cannot be used. Once it runs,
/// whatever goes wrong is a [`crate::Failure`] of the summary.
pub async fn run(
    plan: LoadPlan,
    stop: CancellationToken,
    on_second: impl FnMut(&Second),
) -> Result<Summary, LoadError> {
    plan.check()?;
    let destination = Destination::of(&plan).await?;
    address::check_source(plan.source_ip, destination.first()).await?;
    let clock = Clock::start();
    let client = Arc::new(Client::new(destination, plan.source_ip, plan.timeout, plan.keep_pool, clock));
    let mut record = Record::new(clock, on_second);
    let schedule = Schedule::new(plan.rate, plan.duration);
    let end = drive(schedule, plan.max_in_flight, clock, &stop, &mut record, |n, due| {
        Arc::clone(&client).request(due, plan.connections.keeps(n))
    })
    .await;
    Ok(record.finish(end))
}
