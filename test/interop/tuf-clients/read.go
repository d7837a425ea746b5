// Reads targets with go-tuf: read METADATA_URL TARGETS_URL ANCHOR DIRECTORY NAME…
//
// Prints {"name": sha256 of the downloaded content, or null where no role has it} as JSON. Status 1 on any error.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

func main() {
	if err := read(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(metadataURL, targetsURL, anchor, directory string, names []string) error {
	root, err := os.ReadFile(anchor)
	if err != nil {
		return err
	}
	cfg, err := config.New(metadataURL, root)
	if err != nil {
		return err
	}
	cfg.LocalMetadataDir = filepath.Join(directory, "metadata")
	cfg.LocalTargetsDir = filepath.Join(directory, "targets")
	cfg.RemoteTargetsURL = targetsURL
	for _, folder := range []string{cfg.LocalMetadataDir, cfg.LocalTargetsDir} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	client, err := updater.New(cfg)
	if err != nil {
		return err
	}
	if err := client.Refresh(); err != nil {
		return err
	}
	result := map[string]any{}
	for _, name := range names {
		result[name] = nil
		info, err := client.GetTargetInfo(name)
		if err != nil {
			if err.Error() == fmt.Sprintf("target %s not found", name) {
				continue
			}
			return err
		}
		_, content, err := client.DownloadTarget(info, "", "")
		if err != nil {
			return err
		}
		digest := sha256.Sum256(content)
		result[name] = hex.EncodeToString(digest[:])
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
