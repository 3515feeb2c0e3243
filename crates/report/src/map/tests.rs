use super::*;
use crate::sample;

#[test]
fn places_that_cannot_be_told_apart_are_one_arc() {
    let arcs = vec![(35.0, 139.0, Some(1), 2.0), (35.1, 139.1, Some(1), 3.0), (35.0, 139.0, None, 1.0)];
    let merged = merged(&MapMoment { arcs, ..MapMoment::default() });
    assert_eq!(merged.iter().map(|a| (a.to, a.rate)).collect::<Vec<_>>(), [(Some(1), 5.0), (None, 1.0)]);
}

#[test]
fn a_region_that_is_down_is_said_to_be_down() {
    let outcome = sample::outcome();
    let pictures = maps(&View::of(&outcome)).unwrap();
    assert_eq!(pictures.len(), 2);
    assert!(!pictures[0].svg.contains("is down</text>"));
    assert!(pictures[1].svg.contains("Tokyo is down</text>"));
    assert!(pictures[1].description.contains("Down: ap-northeast-1"));
}

#[test]
fn an_arc_to_a_region_that_does_not_exist_is_drawn_as_refused() {
    let mut outcome = sample::outcome();
    outcome.maps.truncate(1);
    outcome.maps[0].arcs = vec![(10.0, 10.0, Some(999), 1.0)];
    let svg = &maps(&View::of(&outcome)).unwrap()[0].svg;
    assert_eq!(svg.matches("stroke-opacity=\"0.55\"").count(), 0);
}
