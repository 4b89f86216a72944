use super::*;

const JOBS: usize = if cfg!(miri) { 20 } else { 20_000 };

/// Runs a job and counts how often each task ran.
fn counted(pool: &ThreadPool, threads: usize, tasks: usize) -> Vec<usize> {
    let ran: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    pool.run(threads, tasks, &|number| {
        ran[number].fetch_add(1, Ordering::Relaxed);
    });
    ran.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn every_task_runs_once() {
    for threads in 0..4 {
        let pool = ThreadPool::new(threads).unwrap();
        assert_eq!(pool.threads(), threads.max(1));
        for job in 0..JOBS {
            let tasks = job % 9;
            assert_eq!(counted(&pool, 1 + job % 5, tasks), vec![1; tasks]);
        }
    }
}

#[test]
fn helpers_that_sleep_are_woken() {
    let pool = ThreadPool::new(3).unwrap();
    for _ in 0..if cfg!(miri) { 3 } else { 50 } {
        while !pool.state.helpers.iter().all(|helper| helper.sleeper.is_asleep()) {
            std::thread::yield_now();
        }
        // A helper has to come: each task waits for another one.
        let barrier = std::sync::Barrier::new(3);
        pool.run(3, 3, &|_| {
            barrier.wait();
        });
    }
}

#[test]
fn what_is_expected_changes_no_job() {
    let pool = ThreadPool::new(3).unwrap();
    for job in 0..JOBS.min(500) {
        // Gone when a helper asks for it.
        let bytes = vec![0; job * 97 % 3000];
        (0..4).for_each(|helper| pool.expect(helper, &bytes));
        drop(bytes);
        assert_eq!(counted(&pool, 3, 7), [1; 7]);
    }
}

#[test]
fn no_more_threads_than_may_compute() {
    let pool = ThreadPool::new(4).unwrap();
    let threads = Mutex::new(std::collections::HashSet::new());
    for _ in 0..JOBS {
        pool.run(2, 16, &|_| {
            threads.lock().unwrap().insert(std::thread::current().id());
        });
    }
    assert!(threads.into_inner().unwrap().len() <= 2);
}

#[test]
fn several_callers_and_jobs_in_jobs_get_what_they_asked_for() {
    let pool = ThreadPool::new(3).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..JOBS / 10 {
                    assert_eq!(counted(&pool, 3, 5), [1; 5]);
                    pool.run(3, 2, &|_| assert_eq!(counted(&pool, 3, 3), [1; 3]));
                }
            });
        }
    });
}

#[test]
fn a_task_that_panics_panics_where_it_was_asked_for_and_leaves_the_others() {
    let pool = ThreadPool::new(3).unwrap();
    for _ in 0..JOBS.min(200) {
        let ran = AtomicUsize::new(0);
        let run = || {
            pool.run(3, 8, &|number| {
                ran.fetch_add(1, Ordering::Relaxed);
                assert!(number != 3, "the third");
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert!(ran.into_inner() >= 1);
        assert_eq!(counted(&pool, 3, 8), [1; 8]);
    }
}

#[test]
fn it_is_patient_while_jobs_come_soon() {
    let mut caller = Caller::default();
    assert!(!caller.begins(None), "nothing is known yet");
    for _ in 0..2 * MEMORY {
        assert!(caller.begins(Some(PATIENCE / 2)));
    }
    let kept = (0..MEMORY)
        .take_while(|_| caller.begins(Some(2 * PATIENCE)))
        .count();
    assert_eq!(kept, (MEMORY / IMPATIENCE) as usize - 1);
}
