//! Policies in one another, as `_why` and `perigee explain --dns` tell about them.

use std::net::IpAddr;
use std::time::Duration;

use perigee_tests::dig::dig;
use perigee_tests::stack::{SEOUL, Setup, Stack};
use perigee_tests::wait::until;

/// Three policies in one another.
const TREE: &str = r#"
[dns.zones."shop.test".names.www]
policy = "geolocation"
records = [
  { country = "KR", policy = "weighted", draw = "per_client", records = [
    { weight = 100, set_identifier = "release", policy = "failover", records = [
      { failover = "PRIMARY", region = "ap-northeast-2", load_balancer = "shop" },
      { failover = "SECONDARY", region = "ap-northeast-1", load_balancer = "shop" },
    ] },
    { weight = 0, set_identifier = "spare", addresses = ["192.0.2.10"] },
  ] },
  { continent = "AS", policy = "latency", load_balancer = "shop" },
  { location = "*", accelerator = "shop" },
]
"#;

const EXPLAINED: &str = "";
const EXPLAINED_AFTER_THE_KILL: &str = "";
const WHY: [&str; 1] = [""];
const WHY_AFTER_THE_KILL: [&str; 1] = [""];

#[test]
fn policies_in_one_another_are_explained_choice_by_choice() {
    let stack = Stack::with(&Setup { tables: TREE.to_owned(), ..Setup::default() });
    let explain = || {
        let output = stack.command(&["explain", "--dns", "www.shop.test", "--client", "127.82.200.9"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The attribution of the geographic database follows.
        text.split("\n\n").next().unwrap_or_default().to_owned()
    };
    let seoul = Some(IpAddr::from([127, 82, 200, 9]));
    let why = || -> Vec<String> {
        let reply = dig(stack.slot().dns(), "_why.www.shop.test", "TXT", seoul, None);
        let text = reply.data().concat();
        text.trim_matches('"').split("\" \"").map(str::to_owned).collect()
    };
    assert_eq!(explain(), EXPLAINED);
    assert_eq!(why(), WHY);
    stack.kill(SEOUL, "crash");
    until("Seoul is down", Duration::from_secs(5), || stack.effective(SEOUL) == "unhealthy");
    assert_eq!(explain(), EXPLAINED_AFTER_THE_KILL);
    assert_eq!(why(), WHY_AFTER_THE_KILL);
}
