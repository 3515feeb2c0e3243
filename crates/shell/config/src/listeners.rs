use std::collections::BTreeMap;
use std::collections::BTreeSet;

use perigee_model::{Action, ListenerProtocol, LoadBalancerListener};

use crate::key_path::quoted;
use crate::names::listed;
use crate::reader::{Node, Table};
use crate::regions::Scope;
use crate::rules;

/// Reads the listeners of the load balancer `name`, in the order of the file (`spec/alb.md` section 4).
pub(crate) fn read(
    load_balancer: &Table<'_>,
    name: &str,
    scope: &Scope<'_>,
    owners: &mut BTreeMap<usize, String>,
) -> Vec<LoadBalancerListener> {
    let mut ports = BTreeSet::new();
    let mut made = Vec::new();
    for node in load_balancer.list("listeners") {
        let Some(t) = node.table() else { continue };
        let protocol = t.need("protocol").and_then(|n| {
            n.choice(&[("HTTP", ListenerProtocol::Http)], &["HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE"])
        });
        let port = t.need("port").and_then(|n| {
            let port: u16 = n.int(1..=65_535)?;
            if !ports.insert(port) {
                n.problem(format!("duplicate: another listener of the load balancer has port {port}"));
                return None;
            }
            Some(port)
        });
        t.unbuilt(&["certificates", "ssl_policy", "alpn_policy", "mutual_authentication", "tags"]);
        let mut owner = Owner { name, scope, owners };
        let default_action = actions(&t, "default_actions", &mut owner);
        let rules = rules::read(&t, &mut owner);
        t.finish();
        if let (Some(protocol), Some(port), Some(default_action)) = (protocol, port, default_action) {
            made.push(LoadBalancerListener { protocol, port, rules, default_action });
        }
    }
    made
}

/// The load balancer that an action belongs to.
pub(crate) struct Owner<'a, 'b> {
    name: &'a str,
    scope: &'a Scope<'a>,
    /// The name of the load balancer of each target group referred to so far.
    owners: &'b mut BTreeMap<usize, String>,
}

/// The one action of a rule or listener. The original has others, and others before the last (`spec/alb.md` section 9).
pub(crate) fn actions(t: &Table<'_>, key: &'static str, owner: &mut Owner<'_, '_>) -> Option<Action> {
    const UNBUILT: [&str; 5] =
        ["redirect", "fixed-response", "authenticate-oidc", "authenticate-cognito", "jwt-validation"];
    let list = t.need(key)?.list_of(1..=1, "actions")?;
    let action = list.first()?.table()?;
    // The other keys of an action that is not known, or not built, cannot be judged.
    action.need("type").and_then(|n| n.choice(&[("forward", ())], &UNBUILT))?;
    if action.get("forward_config").is_some() {
        action.unbuilt(&["forward_config"]);
        return None;
    }
    action.unbuilt(&["order"]);
    let group = action.need("target_group").and_then(|n| target_group(&n, owner));
    action.finish();
    group
}

fn target_group(node: &Node<'_>, owner: &mut Owner<'_, '_>) -> Option<Action> {
    let name = node.str()?;
    let groups = &owner.scope.names.target_groups;
    let Some(index) = groups.get(name) else {
        if !owner.scope.names.known {
            return None;
        }
        let known = listed(groups.keys().copied());
        node.problem(format!("{} has no target group {}; it has {known}", owner.scope.code, quoted(name)));
        return None;
    };
    let first = owner.owners.entry(index.0).or_insert_with(|| owner.name.to_owned());
    if first != owner.name {
        node.problem(format!("target group {name} belongs to load balancer {first}; a group belongs to one at most"));
    }
    Some(Action::Forward { target_group: *index })
}
