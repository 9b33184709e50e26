//! Names made from others: of services from repositories, of runs from deliveries.

use domain::ids::{RunId, ServiceName};
use uuid::Uuid;

/// Digits of run ids: no letter that looks like a digit, and in ASCII order, so that ids sort as their numbers.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A service's name from any text: what can't stand in a DNS label becomes `-`.
pub(crate) fn service_name(text: &str) -> ServiceName {
    let plain = |c: char| {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '-'
        }
    };
    let mut label: String = text.chars().map(plain).collect();
    if label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert_str(0, "service-");
    }
    let label: String = label.trim_matches('-').chars().take(63).collect();
    label
        .trim_end_matches('-')
        .parse()
        .unwrap_or_else(|_| "service".parse().expect("a literal DNS label is a name"))
}

/// The run of a service that a delivery starts: always the same one, so that a delivery that comes twice starts
/// nothing twice.
///
/// It has 26 digits of five bits: ten for the time in milliseconds where the delivery's id tells it (a UUID of version
/// 7), the rest from a UUID of version 5 over the delivery and the service.
pub(crate) fn run_id(delivery: &str, service: &ServiceName) -> RunId {
    let hash = Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("slipway run\n{delivery}\n{service}").as_bytes(),
    )
    .as_u128();
    let milliseconds = Uuid::parse_str(delivery)
        .ok()
        .filter(|id| id.get_version_num() == 7)
        .map(|id| id.as_u128() >> 80);
    let text = match milliseconds {
        Some(time) => format!("{}{}", digits(time, 10), digits(hash, 16)),
        None => digits(hash, 26),
    };
    text.parse().expect("26 letters and digits are a run id")
}

/// The lowest `5 * count` bits of a number, highest first.
fn digits(number: u128, count: u32) -> String {
    (0..count)
        .rev()
        .map(|place| char::from(DIGITS[((number >> (5 * place)) & 31) as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_and_ids_can_be_made_of_anything(text in ".{0,90}", delivery in ".{0,90}") {
            let name = service_name(&text);
            prop_assert!(name.as_str().parse::<ServiceName>().is_ok());
            prop_assert!(run_id(&delivery, &name).as_str().parse::<RunId>().is_ok());
        }

        #[test]
        fn a_good_name_stays_as_it_is(text in "[a-z]([a-z0-9-]{0,61}[a-z0-9])?") {
            prop_assert_eq!(String::from(service_name(&text)), text);
        }
    }

    #[test]
    fn any_repository_has_a_service_name() {
        for (text, name) in [
            ("orders", "orders"),
            ("Harbour_Shop.api", "harbour-shop-api"),
            ("3d-viewer", "service-3d-viewer"),
            ("--", "service"),
            ("größe", "gr--e"),
            ("", "service"),
        ] {
            assert_eq!(service_name(text).as_str(), name, "{text}");
        }
        assert_eq!(service_name(&"a-".repeat(60)).as_str().len(), 63);
    }

    #[test]
    fn a_delivery_always_gives_the_same_run_and_others_give_others() {
        let (orders, pricing) = (service_name("orders"), service_name("pricing"));
        assert_eq!(run_id("github:1", &orders), run_id("github:1", &orders));
        assert_ne!(run_id("github:1", &orders), run_id("github:1", &pricing));
        assert_ne!(run_id("github:1", &orders), run_id("github:2", &orders));
        assert_eq!(run_id("github:1", &orders).as_str().len(), 26);
    }

    #[test]
    fn runs_that_people_start_sort_by_time() {
        let earlier = "01890000-0000-7000-8000-000000000000";
        let later = "01990000-0000-7000-8000-000000000000";
        let orders = service_name("orders");
        assert!(run_id(earlier, &orders) < run_id(later, &orders));
        assert_eq!(run_id(later, &orders).as_str().len(), 26);
    }
}
