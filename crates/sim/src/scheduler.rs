//! The executor of a world: one thread, virtual time, and chance in place of an operating system.
//!
//! Of the tasks that can go on, chance chooses the next. When none can, time jumps to the next timer. A task belongs to
//! an owner, and all tasks of an owner can be dropped at once, which is what a crash is: since every task stands at an
//! await whenever another runs, a crash can strike at every await.

use crate::random::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A task's future.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whose task it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The world's: clients, networks and databases outlive every node.
    World,
    /// A node's: it ends with the node.
    Node(usize),
}

/// What a step of the scheduler did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It ran a task of this owner, which now waits for something or is done.
    Ran {
        /// Whose task.
        owner: Owner,
        /// Whether the task waits, rather than being done.
        waits: bool,
    },
    /// It let time pass.
    Slept,
    /// There is nothing left to do.
    Idle,
}

struct Task {
    owner: Owner,
    /// Absent while the task runs.
    work: Option<Work>,
}

#[derive(Default)]
struct Tasks {
    tasks: BTreeMap<u64, Task>,
    next_task: u64,
    now_us: u64,
    timers: BTreeMap<(u64, u64), Waker>,
    next_timer: u64,
    moments: u64,
}

type Ready = Arc<Mutex<BTreeSet<u64>>>;

/// See the module. Clones share the same tasks and the same time.
#[derive(Clone)]
pub struct Scheduler {
    state: Arc<Mutex<Tasks>>,
    ready: Ready,
    dice: Dice,
}

struct Waking {
    task: u64,
    ready: Ready,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).insert(self.task);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scheduler {
    /// A scheduler that has nothing to do, at this time.
    pub fn new(dice: Dice, now_us: u64) -> Scheduler {
        let state = Tasks { now_us, ..Tasks::default() };
        Scheduler { state: Arc::new(Mutex::new(state)), ready: Ready::default(), dice }
    }

    /// The true time, which no node knows.
    pub fn now_us(&self) -> u64 {
        lock(&self.state).now_us
    }

    /// A number that grows with every call: it orders what happens at the same time.
    pub fn moment(&self) -> u64 {
        let mut state = lock(&self.state);
        state.moments += 1;
        state.moments
    }

    /// Starts a task.
    pub fn spawn(&self, owner: Owner, work: impl Future<Output = ()> + Send + 'static) {
        let mut state = lock(&self.state);
        let id = state.next_task;
        state.next_task += 1;
        state.tasks.insert(id, Task { owner, work: Some(Box::pin(work)) });
        drop(state);
        lock(&self.ready).insert(id);
    }

    /// Drops all tasks of an owner. The one that runs now, if it is among them, is dropped when it next waits.
    pub fn crash(&self, owner: Owner) {
        let mut state = lock(&self.state);
        let ids: Vec<u64> = state.tasks.iter().filter(|(_, task)| task.owner == owner).map(|(id, _)| *id).collect();
        let dropped: Vec<Option<Task>> = ids.iter().map(|id| state.tasks.remove(id)).collect();
        drop(state);
        // What a future does while it is dropped may come back here, so the lock is free by now.
        drop(dropped);
    }

    /// Drops all tasks and timers, which may hold on to this scheduler.
    pub fn end(&self) {
        let mut state = lock(&self.state);
        let (tasks, timers) = (std::mem::take(&mut state.tasks), std::mem::take(&mut state.timers));
        drop(state);
        drop((tasks, timers));
        lock(&self.ready).clear();
    }

    /// Runs one task until it waits, or lets time pass until one can run.
    pub fn step(&self) -> Step {
        let Some(id) = self.choose() else { return self.let_time_pass() };
        let taken = lock(&self.state).tasks.get_mut(&id).and_then(|task| Some((task.owner, task.work.take()?)));
        let Some((owner, mut work)) = taken else { return Step::Slept };
        let waker = Waker::from(Arc::new(Waking { task: id, ready: self.ready.clone() }));
        let waits = work.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending;
        let mut state = lock(&self.state);
        let rest = match state.tasks.get_mut(&id) {
            Some(task) if waits => {
                task.work = Some(work);
                None
            }
            Some(_) => {
                state.tasks.remove(&id);
                Some(work)
            }
            None => Some(work),
        };
        drop(state);
        drop(rest);
        Step::Ran { owner, waits }
    }

    /// Waits so many microseconds.
    pub fn sleep(&self, microseconds: u64) -> Sleep {
        Sleep { scheduler: self.clone(), until: self.now_us().saturating_add(microseconds), timer: None }
    }

    fn choose(&self) -> Option<u64> {
        let mut ready = lock(&self.ready);
        let index = if ready.len() < 2 { 0 } else { self.dice.index(ready.len()) };
        let id = *ready.iter().nth(index)?;
        ready.remove(&id);
        Some(id)
    }

    fn let_time_pass(&self) -> Step {
        let mut state = lock(&self.state);
        let Some(((at, _), waker)) = state.timers.pop_first() else { return Step::Idle };
        state.now_us = state.now_us.max(at);
        drop(state);
        waker.wake();
        Step::Slept
    }
}

/// See [`Scheduler::sleep`].
pub struct Sleep {
    scheduler: Scheduler,
    until: u64,
    /// The number of its timer, once it waits.
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.scheduler.state);
        // Even a sleep of no time waits once, so that others come in between.
        let number = match self.timer {
            Some(_) if self.until <= state.now_us => return Poll::Ready(()),
            Some(number) => number,
            None => state.next_timer,
        };
        state.next_timer = state.next_timer.max(number + 1);
        state.timers.insert((self.until, number), context.waker().clone());
        drop(state);
        self.timer = Some(number);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.timer {
            lock(&self.scheduler.state).timers.remove(&(self.until, number));
        }
    }
}
