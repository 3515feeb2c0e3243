use figment::value::{Dict, Value};

use crate::key_path::KeyPath;
use crate::merged::{Layer, Spots};
use crate::problem::Problem;
use crate::toml_text;

/// The main file of the built-in configuration.
const MAIN: (&str, &str) = ("perigee.toml", include_str!("../../../../perigee.toml"));

/// Its regions: code, file name, text.
const REGIONS: [(&str, &str, &str); 2] = [
    ("ap-northeast-1", "regions/ap-northeast-1.toml", include_str!("../../../../regions/ap-northeast-1.toml")),
    ("ap-northeast-2", "regions/ap-northeast-2.toml", include_str!("../../../../regions/ap-northeast-2.toml")),
];

/// The built-in layers, without the kinds of resources that the user's files replace: regions, accelerators, names.
///
/// `main` is the user's `perigee.toml`, `regions` the user's regions with their codes as keys, if there are any. A
/// built-in accelerator or name that refers to a built-in region that is gone goes with it.
pub(crate) fn layers(main: Option<&Dict>, regions: Option<&Dict>, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = Vec::new();
    if let Some(mut layer) = layer(MAIN.0, MAIN.1, KeyPath::default(), problems) {
        if main.is_some_and(|m| m.contains_key("accelerators")) {
            layer.dict.remove("accelerators");
        }
        let users_names =
            main.and_then(|m| m.get("dns")).and_then(Value::as_dict).is_some_and(|d| d.contains_key("names"));
        let names = match layer.dict.get_mut("dns") {
            Some(Value::Dict(_, dns)) => {
                if users_names {
                    dns.remove("names");
                }
                dns.get_mut("names")
            }
            _ => None,
        };
        if let Some(regions) = regions {
            if let Some(Value::Dict(_, names)) = names {
                names.retain(|_, name| {
                    let wanted = name.find_ref("load_balancer").and_then(Value::as_str).unwrap_or_default();
                    regions.keys().any(|code| has_load_balancer(regions, code, wanted))
                });
            }
            if let Some(Value::Dict(_, accelerators)) = layer.dict.get_mut("accelerators") {
                accelerators.retain(|_, accelerator| resolves(accelerator, regions));
            }
        }
        layers.push(layer);
    }
    if regions.is_none() {
        for (code, file, text) in REGIONS {
            let root = KeyPath::default().key("regions").key(code);
            layers.extend(layer(file, text, root, problems).map(|l| l.under_region(code)));
        }
    }
    layers
}

fn layer(file: &str, text: &str, root: KeyPath, problems: &mut Vec<Problem>) -> Option<Layer> {
    match toml_text::parse(text, &root) {
        Ok((dict, lines)) => Some(Layer { dict, spots: Spots::BuiltIn(file.to_owned(), lines), root }),
        Err(e) => {
            let file = format!("built-in {file}");
            problems.push(Problem { file, line: e.line, key: String::new(), message: e.message });
            None
        }
    }
}

impl Layer {
    /// Moves the values of a region's file to where regions are.
    pub(crate) fn under_region(mut self, code: &str) -> Self {
        let region = Value::from(std::mem::take(&mut self.dict));
        self.dict = Dict::from([("regions".to_owned(), Value::from(Dict::from([(code.to_owned(), region)])))]);
        self
    }
}

fn has_load_balancer(regions: &Dict, code: &str, name: &str) -> bool {
    let load_balancers = regions.get(code).and_then(Value::as_dict).and_then(|r| r.get("load_balancers"));
    load_balancers.and_then(Value::as_dict).is_some_and(|l| l.contains_key(name))
}

/// Whether every endpoint of a built-in accelerator is in the user's regions.
fn resolves(accelerator: &Value, regions: &Dict) -> bool {
    let lists = |value: &Value, key: &str| -> Vec<Value> {
        value.find_ref(key).and_then(Value::as_array).map(<[Value]>::to_vec).unwrap_or_default()
    };
    lists(accelerator, "listeners").iter().flat_map(|l| lists(l, "endpoint_groups")).all(|group| {
        let region = group.find_ref("region").and_then(Value::as_str).unwrap_or_default().to_owned();
        lists(&group, "endpoints").iter().all(|endpoint| {
            let id = endpoint.find_ref("endpoint_id").and_then(Value::as_str).unwrap_or_default();
            has_load_balancer(regions, &region, id)
        })
    })
}
