//! Speed of matrix products of the shapes of a model with a billion weights.
//!
//! `matmul [INSTRUCTIONS [THREADS [BITS [BLOCK [ROWS,ROWS,...]]]]]`, for example `matmul
//! avx512-vnni 2 4 32 1,8,512`. Prints the median and the best of several runs, in billions of
//! operations (two per weight and row) and in gigabytes of packed weights per second. Products of
//! one row pass through more copies of the weights than caches hold.
#![expect(clippy::print_stdout, reason = "printing is what this is for")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use airunner_kernels::matmul::{
    Arrangement, Bits, MatmulError, Matrix, Scales, Scratch, Shape, Source, pack,
};
use airunner_kernels::{Isa, Parallel};

/// Inputs and outputs: queries with keys and values, output, gate with up, down.
const SHAPES: [(usize, usize); 4] = [(2048, 3072), (2048, 2048), (2048, 16384), (8192, 2048)];

/// Copies of a matrix together have at least as many bytes.
const MORE_THAN_CACHES: usize = 200 << 20;

struct Settings {
    isa: Isa,
    threads: usize,
    bits: Bits,
    block: usize,
    rows: Vec<usize>,
}

fn main() -> Result<(), MatmulError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: usize| -> usize {
        arguments
            .get(at)
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let rows = arguments.get(4).map_or("1,2,4,8,16,64,512", String::as_str);
    let settings = Settings {
        isa: arguments
            .first()
            .and_then(|name| Isa::named(name))
            .unwrap_or_else(Isa::best),
        threads: number(1, 2),
        bits: if number(2, 4) == 8 {
            Bits::Eight
        } else {
            Bits::Four
        },
        block: number(3, 32),
        rows: rows.split(',').filter_map(|rows| rows.parse().ok()).collect(),
    };
    let pool = Pool::new(settings.threads);
    std::thread::scope(|scope| {
        for _ in 1..settings.threads {
            scope.spawn(|| pool.work());
        }
        let results = measure_all(&settings, &pool);
        pool.round.store(Pool::ENDED, Ordering::Release);
        results
    })
}

fn measure_all(settings: &Settings, pool: &Pool) -> Result<(), MatmulError> {
    for (columns, outputs) in SHAPES {
        for zero_points in [false, true] {
            let shape = Shape::new(outputs, columns, settings.block, settings.bits, zero_points)?;
            measure(settings, shape, pool)?;
        }
    }
    Ok(())
}

fn measure(settings: &Settings, shape: Shape, pool: &Pool) -> Result<(), MatmulError> {
    let weights = matrices(shape, pool)?;
    let bytes = shape.packed_bytes(Arrangement::Stacked);
    let (columns, outputs) = (shape.columns(), shape.rows());
    for &rows in &settings.rows {
        let x: Vec<f32> = (0..rows * columns).map(|at| (at as f32 * 0.37).sin()).collect();
        let mut y = vec![0.0; rows * outputs];
        let mut scratch = Scratch::new();
        let operations = 2.0 * rows as f64 * columns as f64 * outputs as f64;
        let runs = ((1e11 / operations) as usize).clamp(5, 200);
        let mut times = Vec::new();
        for run in 0..runs {
            let matrix = &weights[run % weights.len()];
            let start = Instant::now();
            matrix.multiply(settings.isa, &x, None, &mut y, &mut scratch, pool)?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let (median, best) = (times[runs / 2], times[0]);
        println!(
            "{} {}t {:?}/{}{} {columns}x{outputs} rows {rows}: {:.1} us, best {:.1} | {:.0} GOP/s, best {:.0} | {:.1} GB/s, best {:.1}",
            settings.isa,
            settings.threads,
            shape.bits(),
            shape.block(),
            if shape.has_zero_points() { " zp" } else { "" },
            median * 1e6,
            best * 1e6,
            operations / median / 1e9,
            operations / best / 1e9,
            bytes as f64 / median / 1e9,
            bytes as f64 / best / 1e9,
        );
    }
    Ok(())
}

/// Copies of one matrix.
fn matrices(shape: Shape, pool: &Pool) -> Result<Vec<Matrix<Lines>>, MatmulError> {
    let blocks = shape.columns().div_ceil(shape.block());
    let (each, together) = match shape.bits() {
        Bits::Four => (shape.block() / 2, blocks.div_ceil(2)),
        Bits::Eight => (shape.block(), blocks),
    };
    let bytes = |count: usize| {
        (0..count)
            .map(|at| (at * 167 + at / 251) as u8)
            .collect::<Vec<u8>>()
    };
    let (weights, zero_points) = (
        bytes(shape.rows() * blocks * each),
        bytes(shape.rows() * together),
    );
    let scales: Vec<f32> = (0..shape.rows() * blocks)
        .map(|at| 0.005 + 1e-5 * (at % 97) as f32)
        .collect();
    let source = Source {
        rows: shape.rows(),
        weights: &weights,
        scales: Scales::F32(&scales),
        zero_points: shape.has_zero_points().then_some(&zero_points),
    };
    let length = shape.packed_bytes(Arrangement::Stacked);
    let start = Instant::now();
    let mut first = Lines::new(length);
    pack(shape, Arrangement::Stacked, &[source], first.bytes(), pool)?;
    println!(
        "packed {:.0} MB/s",
        length as f64 / start.elapsed().as_secs_f64() / 1e6
    );
    (0..MORE_THAN_CACHES.div_ceil(length))
        .map(|_| Matrix::open(shape, Arrangement::Stacked, first.clone()))
        .collect()
}

/// Bytes that start at a multiple of 64, which is found rather than asked for.
struct Lines {
    room: Vec<u8>,
    length: usize,
}

impl Lines {
    fn new(length: usize) -> Self {
        Self {
            room: vec![0; length + 64],
            length,
        }
    }

    fn start(&self) -> usize {
        self.room.as_ptr().align_offset(64)
    }

    fn bytes(&mut self) -> &mut [u8] {
        let start = self.start();
        &mut self.room[start..start + self.length]
    }
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        let mut other = Self::new(self.length);
        other.bytes().copy_from_slice(self.as_ref());
        other
    }
}

impl AsRef<[u8]> for Lines {
    fn as_ref(&self) -> &[u8] {
        &self.room[self.start()..self.start() + self.length]
    }
}

type Task = &'static (dyn Fn(usize) + Sync);

/// Threads that wait for work without sleeping, as those of an inference session do.
struct Pool {
    threads: usize,
    round: AtomicUsize,
    task: Mutex<Option<Task>>,
    tasks: AtomicUsize,
    next: AtomicUsize,
    working: AtomicUsize,
}

impl Pool {
    const ENDED: usize = usize::MAX;

    fn new(threads: usize) -> Self {
        let [round, tasks, next, working] = [const { AtomicUsize::new(0) }; 4];
        Self {
            threads,
            round,
            task: Mutex::new(None),
            tasks,
            next,
            working,
        }
    }

    fn work(&self) {
        let mut done = 0;
        loop {
            let round = self.round.load(Ordering::Acquire);
            if round == Self::ENDED {
                return;
            }
            if round == done {
                std::hint::spin_loop();
                continue;
            }
            done = round;
            let task = self.task.lock().ok().and_then(|task| *task);
            if let Some(task) = task {
                self.take_all(task);
            }
            self.working.fetch_sub(1, Ordering::Release);
        }
    }

    fn take_all(&self, task: &(dyn Fn(usize) + Sync)) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.tasks.load(Ordering::Relaxed) {
                return;
            }
            task(number);
        }
    }
}

impl Parallel for Pool {
    fn threads(&self) -> usize {
        self.threads
    }

    #[expect(
        unsafe_code,
        reason = "threads that outlive a task's borrows, but not its run"
    )]
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        // SAFETY: nobody uses the task after this function, which waits until all have ended.
        let forever = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Task>(task) };
        if let Ok(mut task) = self.task.lock() {
            *task = Some(forever);
        }
        self.tasks.store(tasks, Ordering::Relaxed);
        self.next.store(0, Ordering::Relaxed);
        self.working.store(self.threads - 1, Ordering::Relaxed);
        self.round.fetch_add(1, Ordering::Release);
        self.take_all(task);
        while self.working.load(Ordering::Acquire) > 0 {
            std::hint::spin_loop();
        }
    }
}
