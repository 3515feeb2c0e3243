//! The course of a failover, from the first edge that knows to the first flow that is back.

use crate::support::play;

#[test]
fn a_region_that_goes_dark_has_a_course_in_order() {
    let outcome = play(
        r#"
story = "Seoul is dark"
for_s = 420
stack = { regions = ["ap-northeast-1", "ap-northeast-2"], zones = 2, ttl_s = 30 }
network = { latency = "measured" }

[clients]
count = 20000
sessions_per_day = 100
think_s = 2
classes = 100
weights = "table"
table = { JP = 1, KR = 1 }
ignore_ttl_share = 0

[[resolver]]
name = "provider"
share = 0.7

[[resolver]]
name = "floor"
share = 0.3
ttl_min_s = 60

[[at]]
name = "dark"
s = 60
kill = "ap-northeast-2"
how = "blackhole"

[[at]]
name = "back"
s = 240
restore = "dark"
"#,
    );
    let [course] = &outcome.anatomies[..] else { panic!("{:?}", outcome.anatomies) };
    let (first, all) = (course.first_detected_s.unwrap(), course.all_detected_s.unwrap());
    let dns = course.dns_detected_s.unwrap();
    assert!(first > 0.0 && first <= all && dns > 0.0, "{course:?}");
    // An answer of the last moment before DNS knew is kept for the slowest resolver's floor.
    let tail = course.dns_tail_s.unwrap();
    assert!(tail > dns && tail <= dns + 60.0, "{course:?}");
    // A flow that finds nobody there is sent elsewhere, and counts there.
    assert_eq!(course.last_flow_s, None, "{course:?}");
    assert!(course.requests_lost > 0);
    assert_eq!(course.requests_lost, outcome.cost.requests_lost, "there is no other fault");
    assert_eq!(course.mended_s, Some(180.0));
    let (trusted, back) = (course.trusted_again_s.unwrap(), course.first_flow_back_s.unwrap());
    // Two checks of the targets, ten seconds apart, come before trust.
    assert!(0.0 < back && 0.0 < trusted && trusted < 30.0 && back <= trusted, "{course:?}");
}
