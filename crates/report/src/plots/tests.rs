use super::*;
use crate::sample;

#[test]
fn a_run_has_five_plots_close_ups_of_failovers_and_maps() {
    let names: Vec<String> = pictures(&sample::outcome()).unwrap().into_iter().map(|p| p.name).collect();
    let expected = ["requests", "errors", "latency", "shares", "utilisation", "anatomy-1"];
    assert_eq!(names[..6], expected);
    assert_eq!(names[6..], ["near-1-requests", "near-1-errors", "near-1-latency", "map-1", "map-2"]);
}

#[test]
fn equal_outcomes_give_equal_pictures() {
    assert_eq!(pictures(&sample::outcome()).unwrap(), pictures(&sample::outcome()).unwrap());
}

#[test]
fn a_region_keeps_its_colour_in_every_plot() {
    let outcome = sample::outcome();
    let view = View::of(&outcome);
    let colour = crate::palette::hex(view.palette.colour("ap-northeast-1"));
    for picture in over_time(&view).unwrap().iter().filter(|p| p.name != "errors" && p.name != "latency") {
        assert!(picture.svg.contains(&colour), "{}", picture.name);
    }
}

#[test]
fn the_highest_value_is_inside_its_plot() {
    let outcome = sample::outcome();
    let view = View::of(&outcome);
    let most = view.bins.rows.iter().map(|b| b.ok.iter().sum::<u64>() as f64 / b.width_s).fold(0.0, f64::max);
    let axis = crate::axis::Axis::from_zero(view.ends.requests_per_s);
    assert!(axis.part(most) <= 1.0 && axis.part(most) > 0.5);
}

#[test]
fn a_run_of_nothing_can_be_drawn() {
    let all = pictures(&Outcome::default()).unwrap();
    assert_eq!(all.len(), 5);
    assert!(all[1].svg.contains("no request failed"));
    png::png(&all[0].svg).unwrap();
}

#[test]
fn names_from_outside_are_escaped_in_pictures() {
    let mut outcome = sample::outcome();
    outcome.anatomies[0].event = "<script>&".into();
    for picture in pictures(&outcome).unwrap() {
        assert!(!picture.svg.contains("<script>"), "{}", picture.name);
        roxmltree::Document::parse(&picture.svg).unwrap();
    }
}

#[test]
fn a_close_up_has_every_step_of_its_failover_and_no_other() {
    let outcome = sample::outcome();
    let view = View::of(&outcome);
    let near = view.near(&outcome.anatomies[0], 1).unwrap();
    let (from_s, to_s) = (near.ends.from_s, near.ends.to_s);
    assert!(from_s < 32_400.0 && to_s > 34_200.0 && to_s - from_s < 3_600.0);
    assert_eq!((near.bins.width_s, near.bins.rows.len() as f64), (60.0, (to_s - from_s) / 60.0));
}

#[test]
fn a_failover_as_long_as_its_run_has_no_close_up() {
    let mut outcome = sample::outcome();
    outcome.anatomies[0].mended_s = Some(40_000.0);
    assert!(View::of(&outcome).near(&outcome.anatomies[0], 1).is_none());
}

#[test]
fn only_the_first_failovers_are_shown_close_up() {
    let mut outcome = sample::outcome();
    outcome.anatomies = vec![outcome.anatomies[0].clone(); 8];
    let all = pictures(&outcome).unwrap();
    let of = |kind: &str| all.iter().filter(|p| p.name.starts_with(kind)).count();
    assert_eq!((of("anatomy-"), of("near-")), (8, 6 * 3));
}
