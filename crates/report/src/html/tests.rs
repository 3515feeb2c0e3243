use super::*;
use crate::sample;

#[test]
fn a_page_fetches_nothing_and_runs_nothing() {
    let page = html(&sample::outcome()).unwrap();
    for outside in ["<script", "<link", "<img", "<iframe", "@import", "url(", "src=", "onload"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let addresses: Vec<&str> =
        page.match_indices("://").map(|(i, _)| page[i + 3..].split('"').next().unwrap()).collect();
    assert!(addresses.iter().all(|a| ["www.w3.org/2000/svg", "db-ip.com"].contains(a)), "{addresses:?}");
}

#[test]
fn a_page_says_how_to_replay_its_run_and_whose_data_it_shows() {
    let mut outcome = sample::outcome();
    let page = html(&outcome).unwrap();
    assert!(page.contains("perigee sim run tokyo-at-nine --seed 7"));
    assert!(page.contains(&outcome.trace_hash));
    assert!(page.contains("<span>Behaviour <code>fast</code></span><span>Seed <code>7</code></span>"));
    assert!(page.contains("<a href=\"https://db-ip.com\">IP Geolocation by DB-IP</a>"));
    outcome.attribution.clear();
    assert!(!html(&outcome).unwrap().contains("db-ip"));
}

#[test]
fn text_from_outside_stays_text() {
    let mut outcome = sample::outcome();
    let evil = "<img src=x onerror=alert(1)>\"'&";
    outcome.scenario = evil.into();
    outcome.story = evil.into();
    outcome.behaviour = evil.into();
    outcome.trace_hash = evil.into();
    outcome.attribution = evil.into();
    outcome.anatomies[0].what = evil.into();
    outcome.moments[0].text = evil.into();
    outcome.maps[0].title = evil.into();
    outcome.bounds[0].words = evil.into();
    outcome.bounds[0].unit = evil.into();
    outcome.explanations[0].1 = evil.into();
    outcome.regions[0].city = evil.into();
    outcome.regions[0].code = evil.into();
    outcome.loads = [(evil.to_owned(), outcome.loads["from-osaka"].clone())].into();
    outcome.totals.failed.insert(evil.into(), 3);
    outcome.series[0].failed.insert(evil.into(), 3);
    let page = html(&outcome).unwrap();
    assert!(!page.contains("<img"), "{}", &page[page.find("<img").unwrap()..][..80]);
    assert!(page.contains("&lt;img src=x"));
}

#[test]
fn every_element_that_is_opened_is_closed() {
    let page = html(&sample::outcome()).unwrap();
    for element in
        ["section", "table", "tr", "td", "div", "figure", "svg", "text", "details", "pre", "g", "title", "header"]
    {
        let opened = page.matches(&format!("<{element} ")).count() + page.matches(&format!("<{element}>")).count();
        let closed = page.matches(&format!("</{element}>")).count();
        assert!(opened == closed && opened > 0, "{element}: {opened} opened, {closed} closed");
    }
}

#[test]
fn every_picture_has_a_title_that_its_id_finds() {
    let page = html(&sample::outcome()).unwrap();
    let svgs = page.matches("<svg ").count();
    assert_eq!((svgs, page.matches("role=\"img\"").count()), (11, 11));
    for name in ["requests", "map-1", "anatomy-1"] {
        assert_eq!(page.matches(&format!("id=\"{name}-title\"")).count(), 1);
    }
}

#[test]
fn a_run_of_nothing_has_a_page() {
    let page = html(&Outcome::default()).unwrap();
    for wrong in ["Failovers", "NaN", "0.00 ms"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
}

#[test]
fn many_moments_are_folded_and_the_last_of_too_many_are_left_out() {
    let mut outcome = sample::outcome();
    let moment = outcome.moments[0].clone();
    outcome.moments = (0..31).map(|_| moment.clone()).collect();
    assert!(html(&outcome).unwrap().contains("<summary>31 moments</summary>"));
    outcome.moments =
        (0..1_001).map(|i| perigee_sim::Moment { text: format!("number {i}."), ..moment.clone() }).collect();
    let page = html(&outcome).unwrap();
    assert!(page.contains("The first 1,000 of 1,001 moments"));
    assert!(page.contains("number 999.") && !page.contains("number 1000."));
}
