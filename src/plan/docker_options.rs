//! `additional_docker_run_options`: which words are honoured, and which are not.

/// Options that would take the container out of our hands, with the reason.
const REFUSED: [(&str, Takes, &str); 14] = [
    ("--name", Takes::Value, "containers are named after their Execution"),
    ("--rm", Takes::Nothing, "the harness removes the container once it knows how it ended"),
    ("--detach", Takes::Nothing, "the harness waits for the container"),
    ("--tty", Takes::Nothing, "a terminal would mix up the output"),
    ("--interactive", Takes::Nothing, "there is no input"),
    ("--attach", Takes::Value, "all of the output is followed"),
    ("-a", Takes::Value, "all of the output is followed"),
    ("--log-driver", Takes::Value, "the output is in run.log"),
    ("--entrypoint", Takes::Value, "the entry's script is what runs"),
    ("--workdir", Takes::Value, "scripts start in their work directory"),
    ("-w", Takes::Value, "scripts start in their work directory"),
    ("--restart", Takes::Value, "a container that comes back would never end"),
    ("--stop-signal", Takes::Value, "the harness sends SIGTERM"),
    ("--cidfile", Takes::Value, "containers are found by their labels"),
];

/// Switches of one letter, which may stand together.
const REFUSED_LETTERS: [char; 3] = ['d', 'i', 't'];

/// Options that give a container power over the host.
const POWERFUL: [&str; 6] = [
    "--privileged",
    "--pid=host",
    "--cap-add=ALL",
    "--cap-add=SYS_ADMIN",
    "--userns=host",
    "--uts=host",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

/// The options of an entry, split into words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DockerOptions {
    /// Words for the command line, in order.
    pub words: Vec<String>,
    /// What the user should know: words that were left out, power that was asked for.
    pub remarks: Vec<String>,
}

impl DockerOptions {
    /// Splits `text` as a POSIX shell does and leaves out what is refused.
    pub(super) fn parse(text: &str) -> DockerOptions {
        const KEY: &str = "additional_docker_run_options";
        let mut options = DockerOptions::default();
        let words = shell_words::split(text).unwrap_or_else(|e| {
            options.remarks.push(format!("{KEY}: {e}; split at blanks instead"));
            text.split_whitespace().map(str::to_owned).collect()
        });
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').map_or((&*word, None), |(n, v)| (n, Some(v)));
            let letters = word.strip_prefix('-').filter(|l| !l.is_empty());
            if letters.is_some_and(|l| l.chars().all(|c| REFUSED_LETTERS.contains(&c))) {
                let why = "there is no terminal, and the harness waits for the container";
                options.remarks.push(format!("{KEY}: {word} is left out: {why}"));
                continue;
            }
            match REFUSED.iter().find(|(refused, ..)| *refused == name) {
                Some((_, takes, why)) => {
                    options.remarks.push(format!("{KEY}: {name} is left out: {why}"));
                    if *takes == Takes::Value && value.is_none() {
                        words.next();
                    }
                }
                None => options.words.push(word),
            }
        }
        let spelled =
            options.words.iter().zip(options.words.iter().skip(1).map(Some).chain([None]));
        let powerful = spelled.filter_map(|(word, next)| {
            let joined = next.map(|next| format!("{word}={next}"));
            let is = |power: &&str| *word == **power || joined.as_deref() == Some(*power);
            POWERFUL.into_iter().find(|power| is(power))
        });
        options.remarks.extend(
            powerful
                .map(|power| format!("{KEY}: {power} gives the container power over this host")),
        );
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_some_are_left_out() {
        let options = DockerOptions::parse(
            "--device=/dev/infiniband --shm-size 128g --name x --rm -e 'A=b c' --cidfile=/y -it",
        );
        assert_eq!(
            options.words,
            ["--device=/dev/infiniband", "--shm-size", "128g", "-e", "A=b c"]
        );
        insta::assert_snapshot!(options.remarks.join("\n"), @r"
        additional_docker_run_options: --name is left out: containers are named after their Execution
        additional_docker_run_options: --rm is left out: the harness removes the container once it knows how it ended
        additional_docker_run_options: --cidfile is left out: containers are found by their labels
        additional_docker_run_options: -it is left out: there is no terminal, and the harness waits for the container
        ");
    }

    #[test]
    fn power_is_honoured_and_said() {
        let options = DockerOptions::parse("--privileged --cap-add SYS_ADMIN --cap-add SYS_PTRACE");
        assert_eq!(options.words.len(), 5);
        assert_eq!(options.remarks.len(), 2);
        assert!(options.remarks[0].contains("--privileged gives the container power"));
        assert!(options.remarks[1].contains("--cap-add=SYS_ADMIN"));
    }

    #[test]
    fn quotes_that_do_not_close_are_told() {
        let options = DockerOptions::parse("--memory 1g -e 'A=");
        assert_eq!(options.words, ["--memory", "1g", "-e", "'A="]);
        assert!(options.remarks[0].contains("split at blanks"));
    }
}
