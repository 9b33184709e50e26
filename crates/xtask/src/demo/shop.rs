//! The running application, asked as a customer's browser asks it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::client::Environment;

const LARGEST: usize = 1 << 20;
const ANSWER: Duration = Duration::from_secs(10);
/// How long the application may take to be as it should; its parts answer since they were deployed.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
struct Window {
    products: Vec<Product>,
    neighbours: std::collections::BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct Product {
    name: String,
    cents: Option<u64>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// Sees that the shop shows goods of the catalogue with prices, and every neighbour in the version that is deployed.
/// Returns what it saw, in words.
pub(super) async fn check(address: &str, environment: &Environment) -> Result<String> {
    patiently(async || {
        let window: Window = get(&format!("{address}/api/shop")).await?;
        look(&window, environment)
    })
    .await
    .with_context(|| format!("{address} does not show what it should"))
}

/// Sees that the storefront itself answers in a version.
pub(super) async fn check_version(address: &str, expected: &str) -> Result<()> {
    patiently(async || {
        let Version { version } = get(&format!("{address}/version")).await?;
        ensure!(
            version == expected,
            "it answers as {version}, not as {expected}"
        );
        Ok(())
    })
    .await
    .with_context(|| format!("{address} is not the new version"))
}

fn look(window: &Window, environment: &Environment) -> Result<String> {
    let first = window
        .products
        .first()
        .context("the catalogue's goods are not shown")?;
    for product in &window.products {
        ensure!(
            product.cents.is_some(),
            "pricing gave no price for {}",
            product.name
        );
    }
    for (name, shown) in &window.neighbours {
        let deployed = environment
            .service(name)
            .map(|service| service.version.as_str());
        ensure!(
            shown.as_deref() == deployed,
            "{name} is shown as {}, and {} is deployed",
            shown.as_deref().unwrap_or("away"),
            deployed.unwrap_or("nothing")
        );
    }
    let cents = first.cents.unwrap_or_default();
    Ok(format!(
        "{} goods with prices ({}: {}.{:02} €), {} neighbours in their deployed versions",
        window.products.len(),
        first.name,
        cents / 100,
        cents % 100,
        window.neighbours.len()
    ))
}

async fn patiently<T>(mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(seen) => return Ok(seen),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(Duration::from_millis(300)).await,
        }
    }
}

async fn get<T: DeserializeOwned>(url: &str) -> Result<T> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let asking = async {
        let response = client.get(url.parse()?).await?;
        if !response.status().is_success() {
            bail!("the answer is {}", response.status());
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        anyhow::Ok(serde_json::from_slice(&body)?)
    };
    tokio::time::timeout(ANSWER, asking)
        .await
        .context("no answer in time")
        .flatten()
        .with_context(|| format!("GET {url}"))
}

#[cfg(test)]
mod tests {
    use super::super::client::Deployed;
    use super::*;

    fn window(json: &str) -> Window {
        serde_json::from_str(json).expect("as the storefront answers")
    }

    fn environment() -> Environment {
        let labels = Deployed {
            service: "labels".to_owned(),
            version: "0.1.0".to_owned(),
            ..Deployed::default()
        };
        Environment {
            name: "production".to_owned(),
            services: vec![labels],
        }
    }

    #[test]
    fn a_neighbour_that_is_away_is_noticed() {
        let products = r#""products":[{"name":"Rope","cents":3175}]"#;
        let good = window(&format!(
            r#"{{{products},"neighbours":{{"labels":"0.1.0"}}}}"#
        ));
        assert!(
            look(&good, &environment())
                .expect("all is well")
                .contains("Rope: 31.75 €")
        );
        let away = window(&format!(r#"{{{products},"neighbours":{{"labels":null}}}}"#));
        let error = look(&away, &environment()).expect_err("labels is away");
        assert_eq!(
            error.to_string(),
            "labels is shown as away, and 0.1.0 is deployed"
        );
    }

    #[test]
    fn goods_without_a_price_are_noticed() {
        let unpriced = window(r#"{"products":[{"name":"Rope","cents":null}],"neighbours":{}}"#);
        assert!(look(&unpriced, &environment()).is_err());
        let empty = window(r#"{"products":[],"neighbours":{}}"#);
        assert!(look(&empty, &environment()).is_err());
    }
}
