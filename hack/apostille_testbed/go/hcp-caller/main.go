// Asks HCP who it is, by nothing but the default configuration of HCP's SDK for Go; or, with "check", reads bodies of
// create requests from standard input, a JSON list, and prints what the SDK's models say to each.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-openapi/strfmt"
	iam "github.com/hashicorp/hcp-sdk-go/clients/cloud-iam/stable/2019-12-10/client/iam_service"
	principals "github.com/hashicorp/hcp-sdk-go/clients/cloud-iam/stable/2019-12-10/client/service_principals_service"
	"github.com/hashicorp/hcp-sdk-go/config"
	"github.com/hashicorp/hcp-sdk-go/httpclient"
)

func main() {
	run := caller
	if len(os.Args) > 1 {
		run = map[string]func() error{"check": check, "--version": version}[os.Args[1]]
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func version() error {
	fmt.Println("hcp-caller v0.175.0+1")
	return nil
}

func caller() error {
	loaded, err := config.NewHCPConfig(config.FromEnv(), config.WithoutBrowserLogin(), config.WithoutLogging())
	if err != nil {
		return err
	}
	transport, err := httpclient.New(httpclient.Config{HCPConfig: loaded})
	if err != nil {
		return err
	}
	who, err := iam.New(transport, strfmt.Default).IamServiceGetCallerIdentity(iam.NewIamServiceGetCallerIdentityParams(), nil)
	if err != nil {
		return err
	}
	fmt.Println(who.Payload.Principal.Service.ResourceName)
	return nil
}

func check() error {
	var bodies []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&bodies); err != nil {
		return err
	}
	said := make([]string, len(bodies))
	for i, body := range bodies {
		var read principals.ServicePrincipalsServiceCreateWorkloadIdentityProviderBody
		strict := json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		err := strict.Decode(&read)
		if err == nil {
			err = read.Validate(strfmt.Default)
		}
		if err != nil {
			said[i] = err.Error()
		}
	}
	return json.NewEncoder(os.Stdout).Encode(said)
}
