use std::borrow::Cow;

use perigee_model::{Action, Condition, Field, LoadBalancerListener};
use serde::{Deserialize, Serialize};

use crate::{Pattern, normalise_path};

/// What rules look at in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The first `Host`, or the authority of an absolute request target; a port is overlooked. None for an HTTP/1.0
    /// request without one, which no host condition matches.
    pub host: Option<&'a str>,
    /// The path as sent, without query.
    pub path: &'a str,
}

/// The rule that a request matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Its priority, none for the default rule.
    pub priority: Option<u16>,
    /// What it does.
    pub action: Action,
}

/// A listener's rules, made ready for matching.
///
/// Source: ALB guide, "Listener rules": ascending priority, first match wins, all conditions of a rule must hold, one
/// value of a condition is enough, the default rule comes last.
#[derive(Clone, Debug)]
pub struct Matcher {
    rules: Vec<CompiledRule>,
    default_action: Action,
    looks_at_path: bool,
}

#[derive(Clone, Debug)]
struct CompiledRule {
    priority: u16,
    conditions: Vec<CompiledCondition>,
    action: Action,
}

#[derive(Clone, Debug)]
struct CompiledCondition {
    field: Field,
    values: Vec<String>,
    patterns: Vec<Pattern>,
}

/// What became of one rule while a request looked for its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTrace {
    /// The rule's priority, none for the default rule.
    pub priority: Option<u16>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: RuleOutcome,
}

/// Why a rule was taken or passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RuleOutcome {
    /// All its conditions hold.
    Matched,
    /// A condition does not hold.
    PassedOver {
        /// What it looks at.
        field: Field,
        /// The patterns, none of which fits.
        values: Vec<String>,
        /// What the request has there, none if it has nothing.
        found: Option<String>,
    },
}

impl Matcher {
    /// Makes the rules of `listener` ready; they are taken in the listener's order, which is that of priority.
    pub fn compile(listener: &LoadBalancerListener) -> Self {
        let condition = |condition: &Condition| CompiledCondition {
            field: condition.field,
            values: condition.values.clone(),
            patterns: condition
                .values
                .iter()
                .map(|value| match condition.field {
                    Field::HostHeader => Pattern::case_insensitive(value),
                    Field::PathPattern => Pattern::case_sensitive(value),
                })
                .collect(),
        };
        let rules: Vec<CompiledRule> = listener
            .rules
            .iter()
            .map(|rule| CompiledRule {
                priority: rule.priority,
                conditions: rule.conditions.iter().map(condition).collect(),
                action: rule.action,
            })
            .collect();
        let looks_at_path = rules.iter().flat_map(|r| &r.conditions).any(|c| c.field == Field::PathPattern);
        Self { rules, default_action: listener.default_action, looks_at_path }
    }

    /// The rule that `head` matches; there always is one, at the latest the default rule.
    pub fn decide(&self, head: &RequestHead<'_>) -> Matched {
        let subject = self.subject(head);
        self.rules.iter().find(|rule| rule.conditions.iter().all(|c| c.holds(&subject))).map_or(
            Matched { priority: None, action: self.default_action },
            |rule| Matched { priority: Some(rule.priority), action: rule.action },
        )
    }

    /// Every rule up to the one that matches, in order, with what became of it.
    pub fn explain(&self, head: &RequestHead<'_>) -> Vec<RuleTrace> {
        let subject = self.subject(head);
        let mut traces = Vec::new();
        for rule in &self.rules {
            let outcome = match rule.conditions.iter().find(|c| !c.holds(&subject)) {
                None => RuleOutcome::Matched,
                Some(failed) => RuleOutcome::PassedOver {
                    field: failed.field,
                    values: failed.values.clone(),
                    found: subject.of(failed.field).map(str::to_owned),
                },
            };
            let matched = outcome == RuleOutcome::Matched;
            traces.push(RuleTrace { priority: Some(rule.priority), outcome });
            if matched {
                return traces;
            }
        }
        traces.push(RuleTrace { priority: None, outcome: RuleOutcome::Matched });
        traces
    }

    fn subject<'a>(&self, head: &RequestHead<'a>) -> Subject<'a> {
        Subject {
            host: head.host.map(host_of),
            path: if self.looks_at_path { normalise_path(head.path) } else { Cow::Borrowed(head.path) },
        }
    }
}

/// A `Host` value without its port: `example.com:80` gives `example.com`, `[::1]:80` gives `[::1]`.
pub fn host_of(value: &str) -> &str {
    let end = match value.rfind(']') {
        Some(bracket) => bracket + 1,
        None => value.find(':').unwrap_or(value.len()),
    };
    &value[..end]
}

struct Subject<'a> {
    host: Option<&'a str>,
    path: Cow<'a, str>,
}

impl Subject<'_> {
    fn of(&self, field: Field) -> Option<&str> {
        match field {
            Field::HostHeader => self.host,
            Field::PathPattern => Some(&self.path),
        }
    }
}

impl CompiledCondition {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        subject.of(self.field).is_some_and(|text| self.patterns.iter().any(|p| p.matches(text)))
    }
}

#[cfg(test)]
mod tests {
    use perigee_model::{ListenerProtocol, Rule, TargetGroupIndex};

    use super::*;

    const fn to(group: usize) -> Action {
        Action::Forward { target_group: TargetGroupIndex(group) }
    }

    fn condition(field: Field, values: &[&str]) -> Condition {
        Condition { field, values: values.iter().map(|v| (*v).to_owned()).collect() }
    }

    fn listener() -> LoadBalancerListener {
        let host = |v: &[&str]| condition(Field::HostHeader, v);
        let path = |v: &[&str]| condition(Field::PathPattern, v);
        LoadBalancerListener {
            protocol: ListenerProtocol::Http,
            port: 80,
            rules: vec![
                Rule { priority: 1, conditions: vec![host(&["api.*"]), path(&["/v1/*"])], action: to(1) },
                Rule { priority: 5, conditions: vec![host(&["API.example.com", "*.internal"])], action: to(2) },
                Rule { priority: 9, conditions: vec![path(&["/img/*", "*.png"])], action: to(3) },
            ],
            default_action: to(0),
        }
    }

    fn decide(host: Option<&str>, path: &str) -> (Option<u16>, Action) {
        let matched = Matcher::compile(&listener()).decide(&RequestHead { host, path });
        (matched.priority, matched.action)
    }

    #[test]
    fn the_lowest_priority_whose_conditions_all_hold_wins() {
        for (host, path, want) in [
            (Some("api.example.com"), "/v1/x", (Some(1), to(1))),
            (Some("API.EXAMPLE.COM:8080"), "/v1/x", (Some(1), to(1))),
            (Some("api.example.com"), "/v2", (Some(5), to(2))),
            (Some("api.other.test"), "/V1/x", (None, to(0))),
            (Some("db.internal"), "/img/x", (Some(5), to(2))),
            (Some("www.example.com"), "/a/b.png", (Some(9), to(3))),
            (Some("www.example.com"), "/x/../img/a", (Some(9), to(3))),
            (Some("www.example.com"), "/%69mg/a", (Some(9), to(3))),
            (Some("www.example.com"), "/IMG/a", (None, to(0))),
            (None, "/v1/x", (None, to(0))),
            (None, "/img/", (Some(9), to(3))),
        ] {
            assert_eq!(decide(host, path), want, "{host:?} {path}");
        }
    }

    #[test]
    fn the_explanation_ends_with_the_decision_and_names_what_was_passed_over() {
        let matcher = Matcher::compile(&listener());
        for host in ["api.example.com", "x.internal", "www"] {
            for path in ["/v1/a", "/img/b", "/"] {
                let head = RequestHead { host: Some(host), path };
                let traces = matcher.explain(&head);
                let (last, before) = traces.split_last().expect("there is always the default rule");
                assert_eq!((last.priority, &last.outcome), (matcher.decide(&head).priority, &RuleOutcome::Matched));
                assert!(before.iter().all(|t| t.outcome != RuleOutcome::Matched));
            }
        }
        let traces = matcher.explain(&RequestHead { host: Some("www"), path: "/" });
        assert_eq!(
            traces[0].outcome,
            RuleOutcome::PassedOver {
                field: Field::HostHeader,
                values: vec!["api.*".into()],
                found: Some("www".into())
            }
        );
    }

    #[test]
    fn a_port_is_not_part_of_the_host() {
        for (value, host) in [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")] {
            assert_eq!(host_of(value), host);
        }
    }
}
