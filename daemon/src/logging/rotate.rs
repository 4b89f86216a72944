//! A file of bounded size, with a bounded number of predecessors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::background::Sink;

/// Opened with the first line, and again after any failure.
pub(super) struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    max_files: usize,
    open: Option<Open>,
}

struct Open {
    file: File,
    length: u64,
}

impl RotatingFile {
    /// At most `max_files` files of at most `max_bytes` each, unless one line is longer.
    pub(super) const fn new(path: PathBuf, max_bytes: u64, max_files: usize) -> Self {
        Self {
            path,
            max_bytes,
            max_files,
            open: None,
        }
    }

    fn opened(&mut self, coming: u64) -> io::Result<&mut Open> {
        let full = |open: &Open| open.length > 0 && open.length + coming > self.max_bytes;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => open_at(&self.path)?,
        };
        if full(&open) {
            // A log that cannot be put aside grows on: losing lines would be worse.
            if self.put_aside().is_ok() {
                open = open_at(&self.path)?;
            }
        }
        Ok(self.open.insert(open))
    }

    /// Moves `log` to `log.1`, `log.1` to `log.2` and so on; the last one goes.
    fn put_aside(&self) -> io::Result<()> {
        if self.max_files <= 1 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.max_files - 1).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn open_at(path: &Path) -> io::Result<Open> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    Ok(Open { file, length })
}

impl Sink for RotatingFile {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let coming = line.len() as u64;
        let open = self.opened(coming)?;
        if let Err(error) = open.file.write_all(line) {
            // No half line stays, so that every line of the file can be read.
            drop(open.file.set_len(open.length));
            self.open = None;
            return Err(error);
        }
        open.length += coming;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn old_lines_move_aside_and_the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = RotatingFile::new(path.clone(), 20, 3);
        for number in 10..20 {
            log.line(format!("line {number}\n").as_bytes()).unwrap();
        }
        assert_eq!(names(directory.path()), ["log", "log.1", "log.2"]);
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("log"), "line 18\nline 19\n");
        assert_eq!(read("log.1"), "line 16\nline 17\n");
        assert_eq!(read("log.2"), "line 14\nline 15\n");
    }

    #[test]
    fn a_log_of_before_is_continued_and_its_length_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "a line of before\n").unwrap();
        let mut log = RotatingFile::new(path, 20, 2);
        log.line(b"another\n").unwrap();
        assert_eq!(names(directory.path()), ["log", "log.1"]);
    }

    #[test]
    fn one_file_is_enough_and_a_long_line_is_kept_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = RotatingFile::new(path.clone(), 10, 1);
        log.line(b"short\n").unwrap();
        log.line(b"much longer than ten bytes\n").unwrap();
        assert_eq!(names(directory.path()), ["log"]);
        assert_eq!(fs::read_to_string(path).unwrap(), "much longer than ten bytes\n");
    }

    #[test]
    fn a_directory_that_comes_back_is_written_to_again() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("place");
        let mut log = RotatingFile::new(place.join("log"), 100, 2);
        assert!(log.line(b"lost\n").is_err());
        fs::create_dir(&place).unwrap();
        log.line(b"kept\n").unwrap();
        assert_eq!(fs::read_to_string(place.join("log")).unwrap(), "kept\n");
    }
}
