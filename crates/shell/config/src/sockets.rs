use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::config::Origin;
use crate::key_path::KeyPath;
use crate::problem::Problem;
use crate::reader::{Context, Node};
use crate::runtime::Runtime;

/// Who listens where, to find two on one address and port.
#[derive(Default)]
pub(crate) struct Sockets {
    claims: Vec<Claim>,
}

struct Claim {
    address: IpAddr,
    ports: RangeInclusive<u16>,
    owner: String,
    origin: Origin,
    /// What is reported if this claim is the one too many.
    problem: Problem,
    is_users: bool,
}

impl Sockets {
    /// Notes that `owner`, configured at `place`, listens on these ports of an address.
    pub(crate) fn claim(&mut self, place: &Node<'_>, address: IpAddr, ports: RangeInclusive<u16>, owner: String) {
        let (cx, tag) = (place.cx, Some(place.value.tag()));
        self.claims.push(Claim {
            address: address.to_canonical(),
            ports,
            owner,
            origin: place.origin(),
            problem: cx.merged.problem(&place.path, tag, String::new()),
            is_users: cx.merged.is_users(place.value.tag()),
        });
    }

    /// Reports every clash. An unspecified listen address (0.0.0.0, ::) is compared with the other listen address
    /// alone: which host it stands for, and so which resources live there, is not known before a role runs.
    pub(crate) fn check(mut self, cx: &Context<'_>, runtime: &Runtime) {
        self.listens(cx, runtime);
        // In this order a claim overlaps an earlier one only if it overlaps the one that reaches furthest so far.
        self.claims.sort_by(|a, b| {
            (a.address, a.ports.start(), a.ports.end(), &a.owner).cmp(&(
                b.address,
                b.ports.start(),
                b.ports.end(),
                &b.owner,
            ))
        });
        let mut furthest: Option<&Claim> = None;
        for claim in &self.claims {
            match furthest {
                Some(far) if far.address == claim.address && far.ports.end() >= claim.ports.start() => {
                    if far.owner != claim.owner {
                        report(cx, far, claim);
                    }
                    if claim.ports.end() > far.ports.end() {
                        furthest = Some(claim);
                    }
                }
                _ => furthest = Some(claim),
            }
        }
    }

    fn listens(&mut self, cx: &Context<'_>, runtime: &Runtime) {
        let (dns, admin) = (runtime.dns_listen, runtime.admin_listen);
        let root = KeyPath::default();
        let listens = [("dns", "the DNS", dns), ("admin", "the admin API", admin)];
        let mut claims = Vec::new();
        for (table, owner, listen) in listens {
            let path = root.key(table).key("listen");
            let node = cx.root().value.find_ref(&format!("{table}.listen")).map(|value| Node { cx, path, value });
            // Port 0 takes a free one and clashes with nothing.
            if let Some(node) = node
                && listen.port() != 0
            {
                let mut one = Self::default();
                one.claim(&node, listen.ip(), listen.port()..=listen.port(), owner.to_owned());
                claims.append(&mut one.claims);
            }
        }
        if let [a, b] = claims.as_slice()
            && a.ports == b.ports
            && a.address != b.address
            && (a.address.is_unspecified() || b.address.is_unspecified())
        {
            report(cx, a, b);
        }
        self.claims.append(&mut claims);
    }
}

/// Reports the user's claim, or the later one, and names the other.
fn report(cx: &Context<'_>, a: &Claim, b: &Claim) {
    let (one, other) = if a.is_users && !b.is_users { (a, b) } else { (b, a) };
    let port = one.ports.start().max(other.ports.start());
    let message = format!("clash: {} port {port} is taken by {} ({})", one.address, other.owner, other.origin);
    cx.push(Problem { message, ..one.problem.clone() });
}
