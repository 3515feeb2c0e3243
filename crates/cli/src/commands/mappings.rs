use perigee_admin::{AskError, Mappings, ask};
use serde_json::json;

use super::{problems, sources};
use crate::args;
use crate::output;
use crate::stack::{MappingPage, offline_mappings};

/// Rows fetched at once.
const PAGE: u32 = 5_000;

/// Lists where the ports of custom routing accelerators lead: as a running stack has them, or as a start with the
/// configuration would when none runs.
pub(crate) async fn mappings(args: args::Mappings) -> Result<(), String> {
    let (accelerator, destination) = (args.accelerator, args.destination);
    let mut request = Mappings { accelerator, destination, from: None, max_results: Some(PAGE) };
    let mut config = None;
    let mut shown: Option<String> = None;
    loop {
        let page = match &config {
            Some(config) => offline_mappings(config, &request)?,
            None => match ask(args.running.admin, "/v1/mappings", Some(&json!(request))).await {
                Ok(answer) => serde_json::from_value::<MappingPage>(answer)
                    .map_err(|e| format!("port mappings of another version: {e}"))?,
                // The other half of a listing must not come from elsewhere.
                Err(AskError::Unreachable { .. }) if request.from.is_none() => {
                    let read = perigee_config::load(&sources(&args.sources)?).map_err(|p| problems(&p))?;
                    offline_mappings(config.insert(read), &request)?
                }
                Err(error) => return Err(error.to_string()),
            },
        };
        if request.from.is_none() && !args.running.json && !page.live {
            output::line("No stack is running: the map that a start with this configuration makes.");
        }
        show(&page, args.running.json, &mut shown);
        request.from = page.next;
        if request.from.is_none() {
            break;
        }
    }
    if shown.is_none() {
        output::note("No port of a custom routing accelerator leads there.");
    }
    Ok(())
}

/// Prints a page: a line for each row, and one for each accelerator before its rows.
fn show(page: &MappingPage, as_json: bool, shown: &mut Option<String>) {
    for row in &page.mappings {
        if shown.as_ref() != Some(&row.accelerator) {
            *shown = Some(row.accelerator.clone());
            if !as_json {
                let [first, second] = row.accelerator_socket_addresses;
                output::line(format!("\naccelerator {} on {} and {}", row.accelerator, first.ip(), second.ip()));
                output::line("   port  state  destination            protocols  subnet                    region");
            }
        }
        if as_json {
            output::line(json!(row).to_string());
            continue;
        }
        output::line(format!(
            "{:>7}  {:<5}  {:<21}  {:<9}  {:<24}  {}",
            row.accelerator_port,
            row.destination_traffic_state,
            row.destination_socket_address.to_string(),
            row.protocols.join("+"),
            row.endpoint_id,
            row.endpoint_group_region
        ));
    }
}
