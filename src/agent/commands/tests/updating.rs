//! Updates as commands.

use super::*;

// DM11, DM20
#[test]
fn what_is_being_updated_takes_no_other_command() {
    let mut desk = Desk::new("operate,update");
    let update =
        |container: &str| Command::Update { container: container.into(), image: None, dry_run: false, patience: None };
    assert!(desk.command(update("db"))[0].ends_with("refused protected"));
    assert!(desk.command(update("web"))[0].ends_with("accepted"));
    for command in [update("web"), restart("web")] {
        assert!(desk.command(command.clone())[0].ends_with("refused busy"), "{command:?}");
    }
    assert!(desk.command(update("cache"))[0].ends_with("accepted"), "another one");
    let names: Vec<Act> = [id(1), id(3)].map(|id| Act::Describe { named: vec![id.to_string().into()] }).into();
    assert_eq!(desk.acts.iter().map(|(_, act)| act.clone()).collect::<Vec<_>>(), names);
    let ticket = desk.acts[0].0;
    desk.done(ticket, Err(ActError { kind: ActErrorKind::Engine, text: "away".into() }));
    assert_eq!(desk.told(), ["01-2 failed engine"]);
    assert!(desk.command(restart("web"))[0].ends_with("accepted"));
    // One that waits for its turn is one too.
    assert!(desk.command(update("web"))[0].ends_with("accepted"));
    assert!(desk.command(restart("web"))[0].ends_with("refused busy"));
    assert!(desk.updates.is_empty());
}

// DM12
#[test]
fn an_update_is_to_one_image_and_to_nothing_else() {
    let mut desk = Desk::new("update");
    for image in ["../containers/web", "app:", "a b"] {
        let (container, image) = ("web".into(), Some(image.into()));
        let command = Command::Update { container, image, dry_run: false, patience: None };
        assert!(desk.command(command.clone())[0].ends_with("refused invalid"), "{command:?}");
    }
    assert!(desk.acts.is_empty());
}
