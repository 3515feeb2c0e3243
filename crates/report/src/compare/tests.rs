use super::*;
use crate::sample;

fn slower() -> Outcome {
    let mut b = sample::outcome();
    b.behaviour = "aws".into();
    b.trace_hash = "00000000000000000000000000000000".into();
    b.anatomies[0].all_detected_s = Some(31.0);
    b.totals.ok -= 1_000;
    b.cost.lost_percent *= 2.0;
    b.anatomies[0].dns_tail_s = None;
    for step in &mut b.series {
        step.regions.iter_mut().for_each(|r| r.ok *= 2);
    }
    b
}

#[test]
fn the_better_run_is_the_one_with_less_lost_and_more_answered() {
    let compared = compare(&sample::outcome(), &slower());
    let row = |name: &str| compared.rows.iter().find(|r| r.name == name).unwrap();
    assert_eq!(row("tokyo-dies: all edges knew").better, Some(Side::A));
    assert_eq!(row("answered well").better, Some(Side::A));
    assert_eq!(row("requests").better, None);
    assert_eq!(row("tokyo-dies: tail of the DNS caches").better, None);
    assert_eq!(row("tokyo-dies: all edges knew").words(), ["1.9 s", "31.0 s", "+29.1 s", "A"]);
    assert!(row("lost").words()[2].ends_with("points"));
    assert!(!compared.same_trace);
}

#[test]
fn a_run_is_equal_to_itself_in_every_figure() {
    let a = sample::outcome();
    let compared = compare(&a, &a);
    assert!(compared.same_trace);
    assert!(compared.rows.iter().all(|r| r.better.is_none() && r.difference() == "equal"));
    assert!(compared.to_string().contains("the same, event by event"));
}

#[test]
fn a_failover_that_only_the_second_run_has_is_shown() {
    let mut b = sample::outcome();
    b.anatomies[0].event = "osaka-dies".into();
    let compared = compare(&sample::outcome(), &b);
    let row = compared.rows.iter().find(|r| r.name == "osaka-dies: all edges knew").unwrap();
    assert_eq!(row.values, [None, Some(1.9)]);
}

#[test]
fn plots_side_by_side_have_equal_axes() {
    let (a, b) = (sample::outcome(), slower());
    let [x, y] = View::pair(&a, &b);
    assert_eq!(x.ends, y.ends);
    assert_eq!(x.ends.requests_per_s, View::of(&b).ends.requests_per_s);
    assert_ne!(x.ends.requests_per_s, View::of(&a).ends.requests_per_s);
}

#[test]
fn no_id_is_there_twice() {
    let page = compare_html(&sample::outcome(), &slower()).unwrap();
    let mut ids: Vec<&str> =
        page.match_indices(" id=\"").map(|(i, _)| page[i + 5..].split('"').next().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), all), (44, 44));
    assert_eq!(page.matches("<h1>").count(), 1);
    assert!(ids.iter().all(|id| page.matches(id).count() == 2), "each id is named once by its picture");
}

#[test]
fn close_ups_stand_side_by_side_where_both_runs_have_the_same_fault() {
    let (a, mut b) = (sample::outcome(), slower());
    let [x, y] = View::near_pair(&View::pair(&a, &b), 0).unwrap();
    assert_eq!(x.ends, y.ends);
    b.anatomies[0].at_s += 60.0;
    assert!(View::near_pair(&View::pair(&a, &b), 0).is_none());
}

#[test]
fn failovers_and_maps_side_by_side_are_drawn_to_one_scale() {
    let a = sample::outcome();
    let mut b = sample::outcome();
    b.anatomies[0].mended_s = Some(9_000.0);
    b.maps[0].arcs[0].3 = 900.0;
    let clock = crate::clock::Clock::of(&a);
    let ticks = |svg: &str| svg.lines().filter(|l| l.starts_with("<path d=\"M")).map(str::to_owned).collect::<Vec<_>>();
    let first = |o: &Outcome, beside: &Outcome| timeline::timelines(o, &clock, &beside.anatomies)[0].svg.clone();
    let columns =
        |svg: &str| ticks(svg).iter().map(|l| l.split('V').next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    assert_eq!(columns(&first(&a, &b)), columns(&first(&b, &a)));
    assert_ne!(columns(&first(&a, &a)), columns(&first(&b, &a)));
    assert_eq!(View::pair(&a, &b)[0].ends.arc_rate, 900.0);
}
