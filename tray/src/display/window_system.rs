//! Windows and macOS: the system wants the main thread for its events, so the tray's own work
//! has a thread beside it, and the two send each other messages.

use std::collections::HashMap;

use airunner_core::{ErrorKind, Fault, error};
use tokio::sync::mpsc;
use tray_icon::menu::{
    CheckMenuItem, IsMenuItem, Menu, MenuEvent, MenuId, MenuItem, PredefinedMenuItem, Submenu,
};
use tray_icon::{Icon, TrayIcon, TrayIconBuilder, TrayIconEvent};
use winit::application::ApplicationHandler;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoopBuilder, EventLoopProxy};
use winit::window::WindowId;

use super::os;
use crate::controller::{Host, Input};
use crate::icon::IconKind;
use crate::view::{Action, Entry, View};

/// What the other thread and the menu say to the main thread.
pub(crate) enum Wake {
    Begin(mpsc::Sender<Input>),
    Show(View),
    Chosen(MenuId),
    /// Somebody has pressed a button of the mouse on the icon.
    Touched,
    End,
}

/// The way to the main thread.
pub(crate) struct Stage(EventLoopProxy<Wake>);

/// The icon and its menu, as the other thread has them.
pub(crate) struct Display {
    stage: Stage,
}

/// Serves the system on this thread and calls the tray's own work on another.
pub(crate) fn run<T: Send + 'static>(
    mut builder: EventLoopBuilder<Wake>,
    work: impl FnOnce(Stage) -> T + Send + 'static,
) -> Result<T, Fault> {
    let events = builder.build().map_err(|error| unavailable(&error))?;
    let stage = Stage(events.create_proxy());
    let [chosen, touched, end] = std::array::from_fn(|_| events.create_proxy());
    MenuEvent::set_event_handler(Some(move |event: MenuEvent| {
        drop(chosen.send_event(Wake::Chosen(event.id)));
    }));
    TrayIconEvent::set_event_handler(Some(move |event| {
        if matches!(event, TrayIconEvent::Click { .. }) {
            drop(touched.send_event(Wake::Touched));
        }
    }));
    let worker = std::thread::spawn(move || {
        let result = work(stage);
        drop(end.send_event(Wake::End));
        result
    });
    events
        .run_app(&mut Application::default())
        .map_err(|error| unavailable(&error))?;
    worker
        .join()
        .map_err(|_| Fault::internal("the tray failed: see its log"))
}

impl Display {
    pub(crate) fn new(stage: Stage, inputs: mpsc::Sender<Input>, _in_background: bool) -> Self {
        drop(stage.0.send_event(Wake::Begin(inputs)));
        Self { stage }
    }

    pub(crate) fn show(&mut self, view: &View) {
        drop(self.stage.0.send_event(Wake::Show(view.clone())));
    }
}

/// What the main thread has.
#[derive(Default)]
struct Application {
    inputs: Option<mpsc::Sender<Input>>,
    icon: Option<TrayIcon>,
    /// What the entries of the menu mean, and of the one before: it may still be open.
    actions: [HashMap<MenuId, Action>; 2],
    /// Entries made so far; no name is used twice.
    made: u64,
}

impl ApplicationHandler<Wake> for Application {
    fn resumed(&mut self, _events: &ActiveEventLoop) {}

    fn window_event(&mut self, _events: &ActiveEventLoop, _window: WindowId, _event: WindowEvent) {}

    fn user_event(&mut self, events: &ActiveEventLoop, wake: Wake) {
        match wake {
            Wake::Begin(inputs) => {
                drop(inputs.try_send(Input::Host(Host::Present)));
                self.inputs = Some(inputs);
            }
            Wake::Show(view) => {
                if let Err(fault) = self.show(&view) {
                    self.send(Input::Lost(fault));
                }
            }
            Wake::Chosen(id) => {
                let action = self.actions.iter().find_map(|actions| actions.get(&id)).cloned();
                if let Some(action) = action {
                    self.send(Input::Clicked(action));
                }
            }
            Wake::Touched => self.send(Input::MenuOpened),
            Wake::End => {
                self.icon = None;
                events.exit();
            }
        }
    }
}

impl Application {
    fn send(&self, input: Input) {
        let sent = self.inputs.as_ref().map(|inputs| inputs.try_send(input));
        if matches!(sent, Some(Err(_))) {
            tracing::warn!("more clicks than can be followed: one is lost");
        }
    }

    fn show(&mut self, view: &View) -> Result<(), Fault> {
        self.actions.swap(0, 1);
        self.actions[0].clear();
        let menu = Menu::new();
        for entry in &view.menu {
            menu.append(self.entry(entry)?.as_ref())
                .map_err(|error| unavailable(&error))?;
        }
        let (picture, tooltip) = (picture(view.icon)?, format!("AI Runner: {}", view.status));
        match &self.icon {
            Some(icon) => {
                icon.set_menu(Some(Box::new(menu)));
                icon.set_icon(Some(picture))
                    .map_err(|error| unavailable(&error))?;
                icon.set_tooltip(Some(tooltip))
                    .map_err(|error| unavailable(&error))
            }
            None => {
                let icon = TrayIconBuilder::new()
                    .with_id("airunner")
                    .with_menu(Box::new(menu))
                    .with_icon(picture)
                    .with_tooltip(tooltip)
                    .build();
                self.icon = Some(icon.map_err(|error| unavailable(&error))?);
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<Box<dyn IsMenuItem>, Fault> {
        Ok(match entry {
            Entry::Separator => Box::new(PredefinedMenuItem::separator()),
            Entry::Text(text) => Box::new(MenuItem::new(label(text), false, None)),
            Entry::Item { label: text, action } => {
                let id = self.name(action.as_ref());
                Box::new(MenuItem::with_id(id, label(text), action.is_some(), None))
            }
            Entry::Check {
                label: text,
                checked,
                action,
            } => {
                let id = self.name(action.as_ref());
                Box::new(CheckMenuItem::with_id(
                    id,
                    label(text),
                    action.is_some(),
                    *checked,
                    None,
                ))
            }
            Entry::Submenu { label: text, entries } => {
                let submenu = Submenu::new(label(text), true);
                for entry in entries {
                    submenu
                        .append(self.entry(entry)?.as_ref())
                        .map_err(|error| unavailable(&error))?;
                }
                Box::new(submenu)
            }
        })
    }

    fn name(&mut self, action: Option<&Action>) -> MenuId {
        self.made += 1;
        let id = MenuId::new(self.made.to_string());
        if let Some(action) = action {
            self.actions[0].insert(id.clone(), action.clone());
        }
        id
    }
}

/// One ampersand marks the key of an entry; two are one.
fn label(text: &str) -> String {
    text.replace('&', "&&")
}

fn picture(kind: IconKind) -> Result<Icon, Fault> {
    let mut pictures = kind.pictures().into_iter();
    let picture = pictures
        .find(|picture| picture.size >= os::ICON_SIZE)
        .ok_or_else(|| Fault::internal("an icon is missing"))?;
    Icon::from_rgba(picture.rgba, picture.size, picture.size).map_err(|error| unavailable(&error))
}

fn unavailable(error: &dyn std::error::Error) -> Fault {
    let error = error::chain(error);
    Fault::new(
        ErrorKind::Unavailable,
        format!("cannot show a tray icon: {error}"),
    )
}
