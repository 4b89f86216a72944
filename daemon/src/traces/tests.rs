use std::sync::atomic::Ordering;
use std::time::Duration;

use airunner_core::ModelName;

use super::{Place, Tracer, current, start, within};

const GIVEN: Place = Place {
    trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
    span: 0x00f0_67aa_0ba9_02b7,
    flags: 1,
};

#[tokio::test]
async fn nothing_is_traced_unless_it_is_wanted() {
    let tracer = Tracer::default();
    assert!(tracer.asking(Some(GIVEN), "GET", "/health").is_none());
    assert!(tracer.answering(&ModelName::new("tiny").unwrap()).is_none());
    tracer.end(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn what_is_asked_belongs_to_the_trace_of_its_caller() {
    let (tracer, _exporter) = start("http://127.0.0.1:9/v1/traces").unwrap();
    let asking = tracer.asking(Some(GIVEN), "GET", "/health").unwrap();
    let place = asking.place();
    assert_eq!((place.trace, place.flags), (GIVEN.trace, 1));
    assert_ne!(place.span, GIVEN.span);
    let alone = tracer.asking(None, "GET", "/health").unwrap().place();
    assert_ne!((alone.trace, alone.trace), (GIVEN.trace, 0));
    let unsampled = Place { flags: 0, ..GIVEN };
    assert_eq!(
        tracer
            .asking(Some(unsampled), "GET", "/health")
            .unwrap()
            .place()
            .flags,
        0
    );
    assert_eq!(current(), None);
    within(Some(place), async { assert_eq!(current(), Some(place)) }).await;
    within(None, async { assert_eq!(current(), None) }).await;
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up() {
    // Nothing listens there.
    let (tracer, exporter) = start("http://127.0.0.1:9/v1/traces").unwrap();
    let model = ModelName::new("tiny").unwrap();
    for _ in 0..100_000 {
        drop(tracer.answering(&model));
    }
    // Without anybody who takes them, most were left out.
    assert!(exporter.missed.load(Ordering::Relaxed) > 90_000);
    let running = tokio::spawn(exporter.run());
    tracer.end(Duration::from_secs(30)).await;
    running.await.unwrap();
}
