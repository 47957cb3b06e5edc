// Offers /dev/kmm_hello to pods as the resource kmm.example.com/hello, through the kubelet's device plugin API.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	device   = "/dev/kmm_hello"
	resource = "kmm.example.com/hello"
	socket   = "kmm-hello.sock"
	// A device that only greets can be given to several pods at once.
	places = 8
	// How often the device and the sockets are looked at.
	interval = time.Second
)

type plugin struct {
	api.UnimplementedDevicePluginServer
}

func health() string {
	if info, err := os.Stat(device); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return api.Healthy
	}
	return api.Unhealthy
}

func (plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

// ListAndWatch says how the places are at once, and again whenever that changes.
func (plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	told := ""
	for {
		if now := health(); now != told {
			told = now
			devices := make([]*api.Device, places)
			for i := range devices {
				devices[i] = &api.Device{ID: fmt.Sprintf("hello-%d", i), Health: now}
			}
			log.Printf("%d places of %s are %s", places, device, now)
			if err := stream.Send(&api.ListAndWatchResponse{Devices: devices}); err != nil {
				return err
			}
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-time.After(interval):
		}
	}
}

func (plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for range request.ContainerRequests {
		response.ContainerResponses = append(response.ContainerResponses, &api.ContainerAllocateResponse{
			Devices: []*api.DeviceSpec{{HostPath: device, ContainerPath: device, Permissions: "r"}},
		})
	}
	return response, nil
}

// register tells the kubelet of the plugin's socket.
func register(ctx context.Context) error {
	connection, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = api.NewRegistrationClient(connection).Register(ctx, &api.RegisterRequest{
		Version: api.Version, Endpoint: socket, ResourceName: resource,
	})
	return err
}

// serve offers the device until the context ends, or the socket has gone: a kubelet that starts empties the folder.
func serve(ctx context.Context) error {
	path := filepath.Join(api.DevicePluginPath, socket)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, plugin{})
	go server.Serve(listener)
	defer server.Stop()
	if err := register(ctx); err != nil {
		return fmt.Errorf("register %s with the kubelet: %w", resource, err)
	}
	log.Printf("%s is registered", resource)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(interval):
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("the kubelet has started anew: %w", err)
			}
		}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	for ctx.Err() == nil {
		if err := serve(ctx); err != nil {
			log.Printf("%v; trying again", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}
