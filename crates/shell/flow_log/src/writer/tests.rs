use perigee_model::FlowLogFormat;

use super::*;
use crate::files::tests::{Scratch, lines};
use crate::{FlowTotals, FlowWindow};

fn flow() -> Arc<FlowIdentity> {
    crate::line::tests::record().flow
}

fn moved(packets: u32) -> Moved {
    let totals = FlowTotals { packets_in: packets, packets_out: 1, ..FlowTotals::default() };
    FlowWindow::new(100, 52).cut(&totals, 130)
}

#[test]
fn a_report_becomes_two_records_in_a_file_that_closing_publishes() {
    let scratch = Scratch::new("reports");
    let logger = FlowLogger::new(FlowLogMetrics::default());
    let streams = [0, 1].map(|_| logger.stream(scratch.destination(FlowLogFormat::Text)));
    streams[0].report(&flow(), moved(3));
    streams[1].report(&flow(), moved(4));
    streams[0].report(&flow(), FlowWindow::new(0, 52).cut(&FlowTotals::default(), 60));
    assert!(logger.close());
    let files = scratch.files();
    assert_eq!(files.len(), 1, "{files:?}");
    let records = lines(&files[0]);
    let seen: Vec<_> = records.iter().map(|r| (r.direction, r.packets, r.bytes, r.status)).collect();
    let (ok, ingress, egress) = (LogStatus::Ok, Direction::Ingress, Direction::Egress);
    assert_eq!(seen, [(ingress, 3, 156, ok), (egress, 1, 52, ok), (ingress, 4, 208, ok), (egress, 1, 52, ok)]);
    assert!(records.iter().all(|r| (r.start_s, r.end_s) == (100, 130)));
    let metrics = &logger.0.metrics;
    assert_eq!((metrics.records.get(), metrics.files.get(), metrics.lost.get()), (4, 1, 0));
}

#[test]
fn what_does_not_fit_is_dropped_and_counted_and_the_next_record_says_so() {
    let (sender, waiting) = sync_channel(2);
    let scratch = Scratch::new("skips");
    let metrics = FlowLogMetrics::default();
    let destination = scratch.destination(FlowLogFormat::Text);
    let lost = metrics.lost.clone();
    let stream = Arc::new(LogStream { destination, sender, skipped: AtomicBool::new(false), lost });
    (1..=5).for_each(|i| stream.report(&flow(), moved(i)));
    assert_eq!(metrics.lost.get(), 6);
    drop(stream);
    run(waiting, &mut Files::new(1), &metrics);
    let statuses: Vec<_> = lines(&scratch.files()[0]).iter().map(|r| (r.packets, r.status)).collect();
    let (ok, skip) = (LogStatus::Ok, LogStatus::SkipData);
    assert_eq!(statuses, [(1, skip), (1, skip), (2, ok), (1, ok)]);
}

#[test]
fn a_file_that_cannot_be_written_loses_records_counts_them_and_harms_nobody() {
    let scratch = Scratch::new("in-the-way");
    let logger = FlowLogger::new(FlowLogMetrics::default());
    let mut destination = scratch.destination(FlowLogFormat::Text);
    // A device, where no directory can be made.
    destination.bucket = "/dev/null/logs".into();
    let stream = logger.stream(destination);
    stream.report(&flow(), moved(1));
    stream.report(&flow(), moved(2));
    assert!(logger.close());
    let metrics = &logger.0.metrics;
    assert_eq!((metrics.lost.get(), metrics.errors.get(), metrics.files.get()), (4, 1, 0));
}

#[test]
fn a_closed_logger_counts_what_comes_after() {
    let scratch = Scratch::new("closed");
    let logger = FlowLogger::new(FlowLogMetrics::default());
    let before = logger.stream(scratch.destination(FlowLogFormat::Text));
    assert!(logger.close() && logger.close());
    before.report(&flow(), moved(1));
    logger.stream(scratch.destination(FlowLogFormat::Text)).report(&flow(), moved(1));
    assert_eq!(logger.0.metrics.lost.get(), 4);
    assert!(scratch.files().is_empty());
}
