use super::*;
use crate::sample;

#[test]
fn a_run_has_five_plots_and_a_picture_per_failover_and_map() {
    let names: Vec<String> = pictures(&sample::outcome()).unwrap().into_iter().map(|p| p.name).collect();
    let expected = ["requests", "errors", "latency", "shares", "utilisation", "anatomy-1", "map-1", "map-2"];
    assert_eq!(names, expected);
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
        png::png(&picture.svg).unwrap();
    }
}
