//! A few threads that read from the disk for whoever must not wait for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

type Task = Box<dyn FnOnce() + Send>;

/// See the module. Dropping it lets the tasks that wait finish.
#[derive(Debug)]
pub struct Pool {
    tasks: Mutex<Sender<Task>>,
}

impl Pool {
    /// A pool of so many threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(threads: usize, name: &str) -> std::io::Result<Pool> {
        let (sender, receiver) = channel::<Task>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let receiver = receiver.clone();
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&receiver))?;
        }
        Ok(Pool { tasks: Mutex::new(sender) })
    }

    /// Runs a task on one of the threads.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) {
        let sender = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let _all_ended = sender.send(Box::new(task));
    }
}

fn work(tasks: &Mutex<Receiver<Task>>) {
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            // A panic ends neither the thread nor the pool; whoever waits for the task hears that it is gone.
            Ok(task) => drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(task))),
            Err(_) => return,
        }
    }
}
